#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a program calls itself and its files is shown, but never obeyed by the terminal."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

THREAD = "\x1b]0;x\x07"			# sets the title of the window
FILE = "a\nb\x1b[2J\u009b2J\x7f\u00e4"	# clears the screen, twice
SHOWN = "a?b?[2J??2J?\u00e4"


def start(*more):
    where = ct.workdir("names")
    path = os.path.join(where, FILE)
    with open(path, "w") as f:
        f.write("content")
    p = ct.Program([ct.PYTHON, ct.script("names.py"), THREAD, path, *more], where)
    p.wait_output(b"ready\n")
    return p, path


def harmless(got):
    bad = re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", got.out + got.err)
    if bad:
        raise ct.Failed("%r in %r" % (bad.group(), got))


def main(t):
    p, path = start()
    store = ct.workdir("store")
    ref = None
    with t.fact("what_snap_prints_is_harmless"):
        got = ct.ckptctl("snap", "-v", "-o", store, str(p.pid))
        harmless(got)
        if got.status:
            raise ct.Failed("%r" % got)
        ref = ct.listing(store)[0]
    with t.fact("show_and_list_print_names_without_control_characters"):
        got = ct.ckptctl("show", "-v", "-o", store, ref)
        harmless(got)
        if got.status or SHOWN not in got.out or "?]0;x?" not in got.out:
            raise ct.Failed("%r" % got)
        got = ct.ckptctl("list", "-o", store)
        harmless(got)
        if got.status or got.out.count("\n") != 2:
            raise ct.Failed("%r" % got)
    with t.fact("json_has_the_names_as_they_are"):
        o = json.loads(ct.ckptctl("show", "--json", "-o", store, ref).out)["process"]
        if path not in [f["path"] for f in o["fds"]] or o["threads"][0]["name"] != THREAD:
            raise ct.Failed("%r" % o)
    with t.fact("errors_quote_names_without_control_characters"):
        p.kill9()
        os.unlink(path)
        got = ct.ckptctl("restore", "--detach", ref, "-o", store)
        harmless(got)
        if got.status == ct.EXIT_OK or SHOWN not in got.err:
            raise ct.Failed("%r" % got)
    with t.fact("refusals_quote_names_without_control_characters"):
        p, path = start("written")
        got = ct.ckptctl("snap", "-o", store, "--files=truncate", str(p.pid))
        harmless(got)
        if got.status != ct.EXIT_UNSUPPORTED or SHOWN not in got.err:
            raise ct.Failed("%r" % got)


ct.run(main)
