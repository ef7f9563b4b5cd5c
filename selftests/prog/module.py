#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: module=no
"""The module itself: missing, loaded on demand, of a wrong version, in use."""
import os
import re
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

# Where nothing is installed: a mount namespace without /lib/modules.
BARE = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /lib/modules && exec "$@"', "sh"]


def refused(t, fact, p, words, status=ct.EXIT_UNSUPPORTED, **kw):
    with t.fact(fact):
        store = ct.workdir("store")
        got = ct.ckptctl("snap", "-o", store, p.pid, **kw)
        if got.status != status or not re.search(words, got.err):
            raise ct.Failed("status %d and %r wanted: %r" % (status, words, got))
        if ct.tree(store):
            raise ct.Failed("left in the store: %s" % ct.tree(store))


def missing(t, p):
    bare = {"CKPT_MODULE": ""}
    refused(t, "no_module_is_said_to_be_neither_loaded_nor_installed", p, "ckpt is neither loaded nor installed",
            env=bare, prefix=BARE)
    refused(t, "a_module_file_that_is_not_there_is_named", p, "/none/ckpt.ko",
            env={"CKPT_MODULE": "/none/ckpt.ko"})
    path = os.path.join(ct.workdir("module"), "ckpt.ko")
    with open(path, "wb") as f:
        f.write(b"\x7fELF" + bytes(2000))
    refused(t, "a_module_file_that_is_none_is_named", p, re.escape(path), env={"CKPT_MODULE": path})
    refused(t, "without_root_no_module_is_said_to_be_loaded", p, "ckpt.*not loaded",
            prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    with t.fact("check_says_that_there_is_no_module"):
        got = ct.ckptctl("check", env=bare, prefix=BARE)
        if got.status != ct.EXIT_UNSUPPORTED or "ckpt" not in got.out + got.err:
            raise ct.Failed(repr(got))


CAP_SYS_MODULE = 1 << 16


def privileged(t, p):
    """A ckptctl that may load modules, in the hands of somebody who may not, loads none of his."""
    with t.fact("a_privileged_ckptctl_takes_no_module_from_the_environment"):
        where = ct.workdir("privileged")
        os.chmod(where, 0o755)
        path = os.path.join(where, "ckptctl")
        shutil.copy(ct.CKPTCTL, path)
        # VFS_CAP_REVISION_2, effective; permitted and inheritable, low and high words
        os.setxattr(path, "security.capability",
                    struct.pack("<5I", 0x02000001, CAP_SYS_MODULE, 0, 0, 0))
        got = subprocess.run([*BARE, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                              path, "snap", "-o", where, str(p.pid)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=ct.DEADLINE,
                             env=dict(os.environ, CKPT_MODULE=ct.MODULE))
        if os.path.exists("/dev/ckpt"):
            ct.rmmod()
            raise ct.Failed("it loaded it")
        if not re.search(b"neither loaded nor installed", got.stderr):
            raise ct.Failed("it says %r" % got.stderr)


def on_demand(t, p):
    with t.fact("the_module_is_loaded_on_demand"):
        if os.path.exists("/dev/ckpt"):
            raise ct.Failed("it is loaded already")
        ct.snap(p.pid, ct.workdir("store"), env={"CKPT_MODULE": ct.MODULE})
        if not os.path.exists("/dev/ckpt"):
            raise ct.Failed("it is not there afterwards")
    with t.fact("check_is_content_with_the_module"):
        got = ct.ckptctl("check")
        if got.status:
            raise ct.Failed(repr(got))


def wrong_version(t, p):
    refused(t, "a_module_of_another_version_is_refused_with_both_versions", p,
            r"version 2\b.*needs? 1\b", env={"LD_PRELOAD": ct.prog("wrong-version.so")})


def in_use(t):
    with t.fact("a_module_in_use_does_not_unload_and_an_idle_one_does"):
        fd = os.open("/dev/ckpt", os.O_RDWR)
        if ct.rmmod():
            raise ct.Failed("it unloaded under an open device")
        os.close(fd)
        ct.wait_for(ct.rmmod, "the module to unload", 10)
    with t.fact("it_loads_and_unloads_%d_times" % ct.full(50, 5)):
        for _ in range(ct.full(50, 5)):
            ct.need_module()
            ct.wait_for(ct.rmmod, "the module to unload", 10)


def main(t):
    p = ct.Program([ct.prog("counter"), "0", "256"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    subprocess.run(["rmmod", "ckpt"], stderr=subprocess.DEVNULL)
    missing(t, p)
    privileged(t, p)
    on_demand(t, p)
    wrong_version(t, p)
    in_use(t)
    with t.fact("the_target_of_all_that_is_unharmed"):
        os.kill(p.pid, signal.SIGTERM)
        p.finish()


# the counters go with the module, which is not there at the end
ct.run(main, module=False)
