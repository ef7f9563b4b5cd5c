#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""tmux with a shell and vim in it: taken as a tree, ended, brought back; the file that is being edited is right."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

BEFORE = "Roses are red, and this was typed before."
AFTER = "This was typed afterwards."


class Tmux:
    """A server of its own, with one pane."""

    def __init__(self):
        self.dir, self.store = ct.workdir("tmux"), ct.workdir("store")
        self.file = os.path.join(self.dir, "poem.txt")
        self.ask("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", self.dir,
                 "exec bash --norc --noprofile")
        self.ask("set", "-g", "history-limit", "1000")
        self.pid = int(self.ask("display-message", "-p", "#{pid}"))
        self.ref = None

    def ask(self, *args):
        env = dict(os.environ, HOME=self.dir, TERM="xterm", LANG="C.UTF-8", PS1="$ ", VIMINIT="")
        env.pop("TMUX", None)
        got = subprocess.run(["tmux", "-S", os.path.join(self.dir, "socket")] + list(args), env=env,
                             cwd=self.dir, capture_output=True, text=True, timeout=ct.DEADLINE)
        if got.returncode:
            raise ct.Failed("tmux %r: %s" % (args, got.stderr))
        return got.stdout

    def type(self, *keys):
        self.ask("send-keys", *keys)

    def screen(self):
        return self.ask("capture-pane", "-p", "-e")

    def shows(self, text):
        ct.wait_for(lambda: text in self.screen(), "%r on the screen" % text)

    def snap(self, *args):
        self.ref = ct.snap(self.pid, self.store, "-n", "tmux", "--tree", *args).ref

    def pids(self):
        got = ct.ckptctl("show", "--json", self.ref, "-o", self.store)
        return [p["pid"] for p in json.loads(got.out)["tree"]["processes"]]

    def wait_gone(self):
        ct.wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in self.pids()), "all to be gone")

    def kill(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        ct.end_children()
        self.wait_gone()

    def restore(self):
        ct.restore_detached(self.ref, self.store)

    def edit(self):
        """A shell line, then a line of text in vim, not yet saved."""
        self.type("echo $((6 * 7))-answered", "Enter")
        self.shows("42-answered")
        self.type("vim -N -u NONE poem.txt", "Enter")
        self.shows('"poem.txt" [New')
        self.insert()
        self.type(BEFORE)
        self.shows(BEFORE)

    def insert(self):
        """Vim says when it does: what is typed while it begins may be lost."""
        for _ in range(10):
            self.type("i")
            try:
                ct.wait_for(lambda: "-- INSERT --" in self.screen(), "vim to insert", ct.DEADLINE / 10)
                return
            except ct.Late:
                self.type("Escape")
        raise ct.Failed("vim does not insert: %r" % self.screen())

    def finish(self):
        """It is saved by those keys that follow, and the shell below goes on, and all ends."""
        self.type("Enter", AFTER, "Escape", ":wq", "Enter")
        ct.wait_for(lambda: ct.read(self.file, b"").decode() == "%s\n%s\n" % (BEFORE, AFTER), "the poem")
        self.type("echo $((6 * 9))-answered; tty", "Enter")
        self.shows("54-answered")
        self.shows("/dev/pts/")
        self.type("sleep 1000", "Enter")
        self.type("C-c", "")
        self.type("echo $((7 * 9))-answered", "Enter")
        self.shows("63-answered")
        self.type("exit", "Enter")
        ct.wait_for(lambda: not os.path.exists("/proc/%d" % self.pid) or ct.end_children(), "tmux to end")


def left_running(tmux):
    tmux.snap()


def ended_and_restored(tmux):
    tmux.snap()
    before = tmux.screen()
    tmux.kill()
    tmux.restore()
    if tmux.screen() != before:
        raise ct.Failed("it looks otherwise: %r, and not %r" % (tmux.screen(), before))


def restored_from_a_snapshot_that_ended_it(tmux):
    before = tmux.screen()
    tmux.snap("--kill")
    ct.end_children()
    tmux.wait_gone()
    tmux.restore()
    if tmux.screen() != before:
        raise ct.Failed("it looks otherwise: %r, and not %r" % (tmux.screen(), before))


def ended_and_restored_with_more_typed_in_between(tmux):
    tmux.snap()
    before = tmux.screen()
    tmux.type("Enter", "never meant")
    tmux.shows("never meant")
    tmux.kill()
    tmux.restore()
    if tmux.screen() != before:
        raise ct.Failed("it looks otherwise: %r, and not %r" % (tmux.screen(), before))


def main(t):
    if not shutil.which("tmux") or not shutil.which("vim"):
        t.skip("tmux", "tmux and vim are not installed")
        return
    for way in (left_running, ended_and_restored, restored_from_a_snapshot_that_ended_it,
                ended_and_restored_with_more_typed_in_between):
        with t.fact("vim_in_tmux_%s" % way.__name__):
            tmux = Tmux()
            tmux.edit()
            way(tmux)
            tmux.finish()


ct.run(main)
