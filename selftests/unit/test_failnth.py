#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""What ckptctl does on a store, with its n-th read, fsync, malloc, open ... failing."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
import failnth

CHANCE = 20
# What list prints that goes on by itself, and what it does not know without its catalogue.
WHEN = re.compile(r" +\d+ (?:s|min|h|d)  (?:no {17}|\d+-\d+-\d+ \d+:\d+:\d+)|"
                  r'"verified": "(?:no|\d+-\d+-\d+T[\d:]+Z)"|"verified_ns": \d+')
SEEDS = os.path.join(ct.TOP, "selftests/fuzz/corpus")


class Reader(failnth.Verb):
    """Changes nothing; prints the same whenever it says it succeeded."""

    def __init__(self, name, store, *args):
        super().__init__(name)
        self.args = name.split() + ["-o", store, *args]
        self.store, self.want = store, None

    def before(self):
        self.tree = ct.tree(self.store)
        return self.args

    def good(self, got, why):
        self.want = self.want or got.out
        if got.out != self.want and not self.told(got.out, why):
            raise ct.Failed("it prints something else than usual\n" +
                            ct.difference(got.out.encode(), self.want.encode()))

    def told(self, out, why):
        return False

    def after(self):
        if ct.tree(self.store) != self.tree:
            raise ct.Failed("the store was touched: %s" % ct.tree(self.store))


class List(Reader):
    """Lists an image it cannot read with the reason: who lists wants to see the others."""

    def good(self, got, why):
        super().good(ct.Result(got.status, WHEN.sub("WHEN", got.out), got.err), why)

    def told(self, out, why):
        return re.search(why, out, re.I)


class Verify(Reader):
    """Tells of each image on standard output, and never of damage where there is none."""

    def explains(self, got, why):
        if not got.err:
            got = ct.Result(got.status, got.out, "ckptctl: verify: " + " ".join(got.out.split()))
        super().explains(got, why)
        if "DAMAGED" in got.out or '"section"' in got.out:
            raise ct.Failed("it takes a failed call for damage")


class Remover(failnth.Verb):
    """Works on a copy of job@1, job@2 and the temporary of a dead writer; keep is what stays."""

    def __init__(self, name, master, keep, *args):
        super().__init__(name)
        self.args, self.master, self.keep = args, master, keep
        self.store = os.path.join(ct.workdir("copy"), "store")

    def before(self):
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.master, self.store)
        with open(os.path.join(self.store, "job", ".tmp-00000003"), "wb"):
            pass
        return [self.name.split()[0], "-o", self.store, *self.args]

    def good(self, got, why):
        left = ct.listing(self.store)
        if left != self.keep and not ("cannot be read" in got.out and left == ["job@1", "job@2"]):
            raise ct.Failed("left are %s" % left)
        failnth.swept(self.store)

    def bad(self, got):
        left = ct.listing(self.store)
        if not set(self.keep) <= set(left):
            raise ct.Failed("what was to be kept is gone: %s" % left)
        for ref in left:
            ct.verify(ref, self.store)
        failnth.swept(self.store)


class Compact(Remover):
    """Both stay, whatever happens; and nobody can tell by the memory that it has happened."""

    def good(self, got, why):
        super().good(got, why)
        self.same_memory()
        shown = ct.ckptctl("show", "--json", "-o", self.store, "job@2")
        if json.loads(shown.out)["image"]["delta"]:
            raise ct.Failed("it is a delta still: %r" % shown)

    def bad(self, got):
        super().bad(got)
        self.same_memory()

    def same_memory(self):
        path = "job/gen-00000002.ckpt"
        got = ct.ckptctl("diff", "--json", os.path.join(self.master, path),
                         os.path.join(self.store, path))
        if got.status or json.loads(got.out)["mappings"]:
            raise ct.Failed("the memory is another: %r" % got)


def make_store(*more):
    store = os.path.join(ct.workdir("store"), "store")
    subprocess.run([os.path.join(ct.TOP, "build/unit/mkstore"), store, SEEDS + "/state/counter",
                    SEEDS + "/meta/counter", *more], check=True)
    return store


def main(t):
    store, deltas = make_store(), make_store("delta")
    inject = failnth.Injector()
    for verb in (
            Verify("verify", store, "job@1"), Verify("verify --all --json", store),
            List("list", store), List("list --json", store),
            Reader("show -v", store, "job@1"), Reader("show --json", store, "job@1"),
            Remover("rm", store, ["job@2"], "job@1"), Remover("rm --all", store, [], "job", "--all"),
            Remover("gc", store, ["job@2"], "-k", "1"),
            Verify("verify", deltas, "job@2"),
            Reader("diff --json", deltas, "job@1", "job@2"),
            Compact("compact", deltas, ["job@1", "job@2"], "job@2")):
        failnth.sweep(t, verb, inject, CHANCE)
    inject.sums(t)


ct.run(main, module=False)
