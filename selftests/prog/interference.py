#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A snapshot leaves page cache and disk to the program: some windows of its image are in the cache while
it is written, however long it is, and nothing of it after it was read back; it is no faster than allowed.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

MIB = ct.full(512, 64)
WINDOWS = 24 << 20      # write-behind.c: two windows, and the one that is being written
NOISE = "import os, time; b = os.urandom(%d << 20); print('ready', flush=True); time.sleep(1000)" % MIB


def resident(path):
    out = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", path],
                         stdout=subprocess.PIPE, check=True).stdout
    return int(out)


def main(t):
    p = ct.Program([ct.PYTHON, "-c", NOISE], ct.workdir("noise"))
    p.wait_output(b"ready\n")
    store = "/scratch/pagecache"
    with t.fact("at_most_%d_MiB_of_an_image_are_in_the_page_cache_once_it_is_written" % (WINDOWS >> 20)):
        s = ct.snap(p.pid, store, "--no-readback")
        got = resident(s.info["path"])
        t.diag("%d MiB of %d" % (got >> 20, s.info["size"] >> 20))
        if s.info["size"] < MIB << 20 or got > WINDOWS:
            raise ct.Failed("%d bytes of %d" % (got, s.info["size"]))
    with t.fact("none_once_it_was_read_back"):
        s = ct.snap(p.pid, store, "--full")
        got = resident(s.info["path"])
        if s.info["size"] < MIB << 20 or got:
            raise ct.Failed("%d bytes of %d" % (got, s.info["size"]))
    with t.fact("a_limit_of_memory_read_in_a_second_is_kept"):
        s = ct.snap(p.pid, store, "--full", "--no-readback", "--bwlimit", "%dM" % (MIB // 6))
        if s.info["stream_ns"] < 5.9e9:     # six seconds
            raise ct.Failed("%.3f s" % (s.info["stream_ns"] / 1e9))
    p.kill9()
    shutil.rmtree(store)


ct.run(main)
