# SPDX-License-Identifier: GPL-2.0-only
"""A verb of ckptctl with its n-th call of some kind failing, n from 1 until it has no more of them.

A run that fails says what it failed at and why, and leaves things as if it had not been; a run that
says it succeeded has done all it does otherwise.  workload/failnth.c makes the calls fail.
"""
import os
import random
import re
import struct

import ckpttest as ct

# What the message has to say, by kind.
NO_MEMORY = r"no memory|cannot allocate memory"
KINDS = {
    "write": r"no space left on device",
    "read": r"input/output error",
    "fsync": r"input/output error",
    "rename": r"input/output error",
    "mmap": NO_MEMORY,
    "malloc": NO_MEMORY,
    "open": r"too many open files",
    "fork": r"resource temporarily unavailable",
}
FIRST, LAST = 2, 1                  # of a short run, beside those by chance
REPORT = struct.Struct("IIQ24s64s")
SHOWN = 20                          # of the runs that went wrong


class Injector:
    """Makes calls fail and counts them."""

    def __init__(self):
        self.path = os.path.join(ct.workdir("report"), "report")
        self.runs = self.failed = 0
        self.swallowed = {}

    def env(self, kind, n):
        with open(self.path, "wb") as f:
            f.truncate(4096)
        return {"LD_PRELOAD": ct.prog("failnth.so"), "FAILNTH": "%s:%d" % (kind, n),
                "FAILNTH_REPORT": self.path}

    def report(self):
        """(calls of that kind, whether the n-th failed, where that was)."""
        calls, failed, where, call, name = REPORT.unpack_from(ct.read(self.path))
        self.runs += 1
        self.failed += failed
        return calls, bool(failed), "%s from %s+%#x" % (
            call.split(b"\0")[0].decode(), name.split(b"\0")[0].decode(), where)

    def sums(self, t):
        for where, runs in sorted(self.swallowed.items()):
            t.diag("done without: %s: %s%s" % (where, ", ".join(runs[:3]), " ..." if runs[3:] else ""))
        t.diag("%d kinds, %d calls failed, %d runs" % (len(KINDS), self.failed, self.runs))


class Verb:
    """How one verb is run, and what must hold after it."""

    def __init__(self, name):
        self.name = name

    def before(self):
        """Its arguments, when all is ready for it."""
        raise NotImplementedError

    def run(self, args, env):
        return ct.ckptctl(*args, env=env)

    def good(self, got, why):
        """After a run that says it succeeded; why is what a message would have to say."""

    def bad(self, got):
        """After one that failed."""

    def after(self):
        """After either."""

    def explains(self, got, why):
        """A run that failed names what failed and why."""
        lines = got.err.strip().split("\n")
        m = re.match(r"ckptctl: %s: (.*)" % self.name.split()[0], lines[-1])
        if not m:
            raise ct.Failed("no message")
        reason = re.search(why, m.group(1), re.I)
        if not reason:
            raise ct.Failed("the message does not give the reason")
        if m.group(1) == "no memory":       # there was none for anything
            return
        if not re.search(r"\w\w", m.group(1)[:reason.start()] + m.group(1)[reason.end():]):
            raise ct.Failed("the message names no thing")


def one(verb, kind, n, inject):
    """One run with the n-th call failing, 0 for none: (calls, whether it came to the n-th)."""
    got, where = None, "not reached"
    try:
        args = verb.before()
        got = verb.run(args, inject.env(kind, n))
        calls, hit, where = inject.report()
        if got.status < 0:
            raise ct.Failed("ended by signal %d" % -got.status)
        if got.status == ct.EXIT_OK:
            verb.good(got, KINDS[kind])
            if hit:
                inject.swallowed.setdefault(where, []).append("%s %s:%d" % (verb.name, kind, n))
        elif not hit or got.status == ct.EXIT_USAGE:
            raise ct.Failed("status %d" % got.status)
        else:
            verb.explains(got, KINDS[kind])
            verb.bad(got)
    except (ct.Failed, ct.Late) as err:
        text = repr(got)
        raise ct.Failed("%s with %s:%d failing (%s): %s\n%s" % (
            verb.name, kind, n, where, err, text if len(text) < 1000 else text[:700] + " ... " + text[-200:]))
    finally:
        verb.after()
    return calls, hit


def some(total, chance):
    """Which n a short run tries."""
    ends = set(range(1, min(FIRST, total) + 1)) | set(range(max(1, total - LAST + 1), total + 1))
    rest = sorted(set(range(1, total + 1)) - ends)
    return sorted(ends | set(random.sample(rest, min(chance, len(rest)))))


def sweep_kind(verb, kind, inject, chance, wrong):
    """The number of calls a run makes."""
    total, _ = one(verb, kind, 0, inject)
    n = 0
    for n in range(1, 1000000) if ct.FULL else some(total, chance):
        try:
            calls, hit = one(verb, kind, n, inject)
        except ct.Failed as err:
            wrong.append(str(err))
            continue
        if not hit:
            break
    if ct.FULL and n <= total:
        wrong.append("%s: %d calls of %s counted, %d reached" % (verb.name, total, kind, n - 1))
    return total


def sweep(t, verb, inject, chance):
    """All kinds for one verb: every n, or the first, the last and some by chance."""
    runs, failed = inject.runs, inject.failed
    name = re.sub(r"\W+", "_", verb.name)
    with t.fact("%s_fails_in_order_whatever_call_fails" % name):
        wrong = []
        calls = {kind: sweep_kind(verb, kind, inject, chance, wrong) for kind in KINDS}
        t.diag("%s: %d calls failed in %d runs; a run makes %s" % (
            verb.name, inject.failed - failed, inject.runs - runs,
            ", ".join("%d %s" % (n, kind) for kind, n in calls.items() if n)))
        if inject.failed == failed:
            raise ct.Failed("no call failed: is LD_PRELOAD obeyed?")
        if wrong:
            raise ct.Failed("%d runs went wrong\n" % len(wrong) + "\n".join(wrong[:SHOWN]))


def swept(store):
    """What a run left behind goes with the next gc."""
    got = ct.ckptctl("gc", "-o", store)
    left = [n for n, _, _ in ct.files(store) if not n.endswith(".ckpt")]
    if got.status or left:
        raise ct.Failed("gc leaves %s: %r" % (left, got))
