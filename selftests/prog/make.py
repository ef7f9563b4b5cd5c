#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=900
"""make -j4 with the C compiler, as they are: processes that live for moments.

Snapshotted with --tree while make, gcc, cc1, as and ld come and go: between vfork() and exec, ended and not
waited for, with temporary files half written, and tokens in the job server's pipe.  Killed by it or left
running: the objects and the program are byte for byte those of an undisturbed build.

Not then killed later: the files that the build goes on to write, and to remove, are newer than the image.
One that is removed before the image is written fails the snapshot, by name; that is all that may go wrong.
"""
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

FILES = ct.full(40, 10)

MAKEFILE = """
OBJS := %s
prog: $(OBJS)
	gcc -o $@ $(OBJS)
%%.o: %%.c all.h
	gcc -O1 -g0 -c -o $@ $<
"""

SOURCE = """
#include <stdio.h>
#include "all.h"
static unsigned int mix%(n)d(unsigned int x, const unsigned int *table)
{
	for (unsigned int i = 0; i < %(n)d + 3; i++)
		x = x * 2654435761u + table[(x >> 7) %% 64] + i;
	return x;
}
unsigned int step%(n)d(unsigned int x)
{
	unsigned int table[64];
	for (unsigned int i = 0; i < 64; i++)
		table[i] = i * %(n)d;
	return mix%(n)d(x, table);
}
"""


# A compiler removes what the assembler has read: while snap looks at it, or before the image is written.
GONE = ("was removed when the program ran on", "cannot be found by its name any more")


def prepare(where):
    def write(name, text):
        with open(os.path.join(where, name), "w") as f:
            f.write(text)
    names = ["f%d" % n for n in range(FILES)] + ["main"]
    write("Makefile", MAKEFILE % " ".join(n + ".o" for n in names))
    write("all.h", "".join("unsigned int step%d(unsigned int);\n" % n for n in range(FILES)))
    for n in range(FILES):
        write("f%d.c" % n, SOURCE % {"n": n})
    write("main.c", '#include <stdio.h>\n#include "all.h"\nint main(void)\n{\n\tunsigned int x = 1;\n%s'
          '\treturn printf("%%u\\n", x) < 0;\n}\n' %
          "".join("\tx = step%d(x);\n" % n for n in range(FILES)))
    os.mkdir(os.path.join(where, "tmp"))
    return ["/usr/bin/env", "TMPDIR=" + os.path.join(where, "tmp"), "make", "-s", "-j4"]


def answer(where):
    """Digests of what was built, what the program says, and what was left behind."""
    got = []
    for name in sorted(os.listdir(where)):
        if name.endswith(".o") or name == "prog":
            got.append("%s %s" % (name, hashlib.sha256(ct.read(os.path.join(where, name))).hexdigest()))
    said = subprocess.run([os.path.join(where, "prog")], stdout=subprocess.PIPE, check=True).stdout
    got += [said.decode(), "left in tmp: %s" % os.listdir(os.path.join(where, "tmp")),
            "said: %s" % ct.text(os.path.join(where, "stderr"))]
    return "\n".join(got).encode()


def snaps(build, p):
    """At random moments: how many were taken, and how many failed since a file was gone."""
    store, taken, removed = ct.workdir("store"), 0, 0
    for amount in sorted(build.moment() for _ in range(ct.full(12, 4))):
        build.reach(p, amount)
        got = ct.ckptctl("snap", "--tree", "-n", "job", "-o", store, p.pid)
        taken += got.status == ct.EXIT_OK
        gone = any(text in got.err for text in GONE)
        removed += gone
        if got.status not in (ct.EXIT_OK, ct.EXIT_GONE) and not gone:
            raise ct.Failed("%r" % got)
    return taken, removed


def left_running(t, build):
    with t.fact("make_left_running_after_snapshots_answers_the_same"):
        taken = 0
        for _ in range(5):
            p = build.start()
            now, removed = snaps(build, p)
            p.finish()
            build.check(p.cwd)
            taken += now
            t.diag("%d snapshots, %d failed since a file was gone" % (now, removed))
            if taken > 1:
                return
        raise ct.Failed("%d snapshots of five builds" % taken)


def main(t):
    build = ct.Job("make", prepare, answer, metric="time", span=(0.1, 0.8), snap_args=["--tree"])
    ct.both_ways(t, build, restored=0, running=0, kill=ct.full(10, 1))
    if build.want:
        left_running(t, build)


ct.run(main)
