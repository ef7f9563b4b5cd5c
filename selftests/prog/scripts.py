#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""Two more interpreters, with memory managers of their own: gawk and perl."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def main(t):
    steps = str(ct.full(300000, 30000))
    programs = {
        "perl": ["/usr/bin/perl", ct.script("chain.pl"), steps],
        "gawk": ["/usr/bin/gawk", "-v", "steps=" + steps, "-f", ct.script("chain.awk")],
    }
    for name, argv in programs.items():
        if not shutil.which(argv[0]):
            t.skip("%s_answers_the_same" % name, argv[0] + " is not installed")
            continue
        # in the small run one of them is snapped and killed, the other left running as well
        ct.both_ways(t, ct.Job(name, lambda _, argv=argv: argv, started=b"ready\n"),
                     kill=ct.full(1, 0), running=ct.full(5, 1))


ct.run(main)
