# SPDX-License-Identifier: GPL-2.0-only
"""Helpers of the real-program tests: TAP, programs, snapshots, random moments, what the kernel holds.

A driver is a function run(main) calls with a Tap.  It writes one line for each fact:

    import ckpttest as ct
    def main(t):
        t.ok(condition, "the_fact_in_words", "what was seen instead")
    ct.run(main)

Programs are children of the driver, with their standard streams on regular files, so a program that
is killed is reaped here and its PID is free for the restore.  The driver is also a subreaper: what
`ckptctl restore --detach` leaves behind becomes its child and can be waited for like any other.

Environment:
    CKPTCTL         the command under test             (build/ckptctl of this checkout)
    CKPT_WORKLOAD   where the C programs are            (build/workload)
    CKPT_MODULE     the module to load if none is       (build/ckpt.ko)
    CKPT_FULL       1: full counts and sizes            (0: small ones)
    CKPT_SEED       seed of every random moment         (from the clock, and printed)
    CKPT_TMP        where programs and stores live      (/dev/shm)
    CKPT_DEADLINE   seconds until a wait is given up    (150, full 900); no verdict is about speed
"""

import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
CKPTCTL = os.environ.get("CKPTCTL") or os.path.join(TOP, "build", "ckptctl")
WORKLOAD = os.environ.get("CKPT_WORKLOAD") or os.path.join(TOP, "build", "workload")
SCRIPTS = os.path.join(TOP, "selftests", "workload")
MODULE = os.environ.get("CKPT_MODULE") or os.path.join(TOP, "build", "ckpt.ko")
TMP = os.environ.get("CKPT_TMP") or "/dev/shm"
FULL = os.environ.get("CKPT_FULL") == "1"
# A kernel with checkers is that many times slower.
SLOW = float(os.environ.get("CKPT_SLOW") or 1)
DEADLINE = float(os.environ.get("CKPT_DEADLINE") or (900 if FULL else 150) * SLOW)
SEED = int(os.environ.get("CKPT_SEED") or time.time_ns() % 1000000007)
COUNTERS = "/sys/kernel/debug/ckpt/counters"
PYTHON = "/usr/bin/python3"

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNSUPPORTED, EXIT_GONE = 0, 1, 2, 3, 4

PR_SET_CHILD_SUBREAPER = 36
CPUCLOCK_SCHED = 2


def full(big, small):
    """The full figure under CKPT_FULL=1, the small one otherwise."""
    return big if FULL else small


class Late(Exception):
    """A wait reached its deadline."""


class Failed(Exception):
    """The test cannot go on from here: the fact it was proving does not hold."""


class Gone(Failed):
    """The target had ended by itself before the snapshot came."""


# ---------------------------------------------------------------------------------------- TAP

class Tap:
    """Counts facts and prints them; the plan comes last, as TAP allows."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def diag(self, text):
        for line in str(text).rstrip("\n").split("\n"):
            print("# " + line, flush=True)

    def ok(self, good, fact, why=None):
        self.count += 1
        if not good:
            self.failed += 1
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, fact), flush=True)
        if not good and why:
            self.diag(why() if callable(why) else why)
        return bool(good)

    def same(self, got, want, fact):
        return self.ok(got == want, fact, lambda: "got  %r\nwant %r" % (got, want))

    def skip(self, fact, why):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, fact, why), flush=True)

    @contextlib.contextmanager
    def fact(self, name):
        """One fact proven by a block: any exception in it is the failure, and its text the reason."""
        began = time.monotonic()
        try:
            yield
        except Exception as err:        # whatever went wrong, the fact is not shown
            known = isinstance(err, (Failed, Late))
            self.ok(False, name, str(err) if known else traceback.format_exc())
        else:
            self.ok(True, name)
        took = time.monotonic() - began
        if took > 10:
            self.diag("%.0f s" % took)


def run(main, module=True):
    """Run a driver, and after it check that nothing of it is left in the kernel."""
    tap = Tap()
    print("TAP version 13", flush=True)
    tap.diag("seed %d (CKPT_SEED=%d repeats these moments)" % (SEED, SEED))
    random.seed("%d %s" % (SEED, os.path.basename(sys.argv[0])))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        if module:
            need_module()
        main(tap)
    except Exception:
        tap.ok(False, "driver_runs_to_its_end", traceback.format_exc())
    finally:
        Program.end_all()
        clean_workdirs()
    if module:
        left = wait_for_counters_zero()
        tap.ok(not left, "module_counters_are_zero_afterwards", "still held: %s" % left)
    print("1..%d" % tap.count, flush=True)
    sys.exit(1 if tap.failed or not tap.count else 0)


# ---------------------------------------------------------------------------------- waiting

def wait_for(condition, what, deadline=None):
    """Poll condition() until it gives something true; Late, naming what, after the deadline."""
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Late("deadline passed waiting for " + what)
        time.sleep(0.002)


def read(path, default=None):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        if default is None:
            raise
        return default


def text(path, default=None):
    got = read(path, None if default is None else default.encode())
    return got.decode(errors="replace")


# -------------------------------------------------------------------------------- work places

_workdirs = []


def workdir(name="t"):
    """A fresh directory for one program or one store, removed at the end of the driver."""
    path = tempfile.mkdtemp(prefix="ckpt-%s-" % name, dir=TMP)
    os.chmod(path, 0o755)
    _workdirs.append(path)
    return path


def drop_workdir(path):
    shutil.rmtree(path, ignore_errors=True)
    if path in _workdirs:
        _workdirs.remove(path)


def clean_workdirs():
    for path in list(_workdirs):
        drop_workdir(path)


# ----------------------------------------------------------------------------------- programs

def has_file_system(kind):
    """Whether this kernel can put one into a file."""
    return not subprocess.run(["modprobe", "-q", "-a", kind, "loop"], check=False).returncode


@contextlib.contextmanager
def file_system(kind):
    """A new one in a file, mounted while it lasts; programs on it have to be gone by then."""
    where = workdir(kind)
    disk, mount = os.path.join(where, "disk"), os.path.join(where, "mnt")
    os.mkdir(mount)
    with open(disk, "wb") as f:
        f.truncate(400 << 20)
    for argv in (["mkfs." + kind, "-q", disk], ["mount", "-o", "loop", disk, mount]):
        p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if p.returncode:
            raise Failed("%s: %r" % (argv, p.stdout))
    try:
        yield mount
    finally:
        Program.end_all()
        end_children()
        subprocess.run(["umount", mount], check=True)


class Program:
    """One running program with its streams on files.  Dies with the driver, whatever happens."""

    alive = []

    def __init__(self, argv, cwd, stdin=None, env=None, name=None, pass_fds=()):
        self.name = name or os.path.basename(argv[0])
        self.cwd = cwd
        self.out = os.path.join(cwd, "stdout")
        self.err = os.path.join(cwd, "stderr")
        environ = dict(os.environ, LC_ALL="C", PYTHONHASHSEED="0")
        environ.update(env or {})
        with open(stdin or os.devnull, "rb") as i, open(self.out, "wb") as o, \
                open(self.err, "wb") as e:
            self.popen = subprocess.Popen(argv, cwd=cwd, stdin=i, stdout=o, stderr=e, env=environ,
                                          pass_fds=pass_fds)
        self.pid = self.popen.pid
        self.began = time.monotonic()
        Program.alive.append(self)

    # state

    def ended(self):
        return self.popen.poll() is not None

    def output(self):
        return read(self.out)

    def errors(self):
        return text(self.err, "")

    def lines(self):
        return self.output().count(b"\n")

    def cpu(self):
        return cpu_clock(self.pid)

    # waiting

    def wait_output(self, needle, deadline=None):
        """Until the program has written needle (bytes); Failed if it ends without."""
        def seen():
            if needle in self.output():
                return True
            if self.ended() and needle not in self.output():
                raise Failed("%s ended (status %s) without writing %r: %s" % (
                    self.name, self.popen.returncode, needle, self.errors()))
            return False
        wait_for(seen, "%s to write %r" % (self.name, needle), deadline)

    def wait_end(self, deadline=None):
        """Until the program ends; its status as subprocess gives it (negative: the signal)."""
        try:
            status = self.popen.wait(deadline or DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise Late("%s (pid %d) did not end before the deadline; output so far: %r" % (
                self.name, self.pid, self.output()[-300:]))
        self.forget()
        return status

    def finish(self):
        """To the end, by itself, with status 0."""
        status = self.wait_end()
        if status:
            raise Failed("%s ended with status %d: %s" % (self.name, status, self.errors()))

    # ending

    def kill9(self):
        """SIGKILL, and reap: afterwards the PID is free."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.popen.wait()
        self.forget()

    def forget(self):
        if self in Program.alive:
            Program.alive.remove(self)

    @staticmethod
    def end_all():
        for p in list(Program.alive):
            p.kill9()
        end_children()      # what restore --detach left to the subreaper


def cpu_clock(pid):
    """Processor time of all threads, in nanoseconds: the process's own clock, read from outside."""
    try:
        return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return 0


def children():
    me = os.getpid()
    got = text("/proc/self/task/%d/children" % me, "")
    return [int(x) for x in got.split()]


def end_children():
    """And theirs, which become ours as their parents end."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in children():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def stop(pid):
    """SIGSTOP to our child; until it stands, it may take what it was waiting for."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def reap(pid, deadline=None):
    """Wait for a process that came to us by reparenting; status as subprocess gives it."""
    def gone():
        got, status = os.waitpid(pid, os.WNOHANG)
        return (status,) if got else None
    status = wait_for(gone, "pid %d to end" % pid, deadline)[0]
    return os.waitstatus_to_exitcode(status)


# ------------------------------------------------------------------------- the job of a test

class Job:
    """A program as the tests run it many times over: how to start it, and what its answer is.

    prepare(dir) puts input files in place and gives argv, or (argv, stdin path).
    answer(dir)  gives what must be the same in every run; standard output by default.
    metric       how far a run is: "cpu" (processor time), "lines" or "bytes" (of output), "time"
                 (since its start: for programs that mostly sleep).
    span         fractions of the reference run between which random moments are taken.
    started      what it writes (bytes) when its set-up is done; moments come after that.
    during       during(dir, ended): what the outside does for the program while it runs.
    snap_args    more arguments of each snap.
    """

    def __init__(self, name, prepare, answer=None, metric="cpu", span=(0.05, 0.7), env=None,
                 started=None, during=None, snap_args=()):
        self.name, self.prepare, self.env, self.snap_args = name, prepare, env, snap_args
        self.answer_of = answer or (lambda d: read(os.path.join(d, "stdout")))
        self.metric, self.span, self.started, self.during = metric, span, started, during
        self.want = self.total = None

    def start(self):
        where = workdir(self.name)
        argv = self.prepare(where)
        argv, stdin = argv if isinstance(argv, tuple) else (argv, None)
        p = Program(argv, where, stdin=stdin, env=self.env, name=self.name)
        if self.started:
            p.wait_output(self.started)
        return p

    def attend(self, p):
        """What the outside does for the program while it runs, if anything."""
        if self.during:
            self.during(p.cwd, lambda: p.ended())

    def reference(self):
        """The uninterrupted run: its answer, and how much it did."""
        p = self.start()
        total = 0

        def ended():
            nonlocal total
            total = max(total, self.progress(p))
            return p.ended()
        self.attend(p)
        wait_for(ended, "%s to end" % self.name)
        if self.metric in ("lines", "bytes"):
            total = self.progress(p)
        p.finish()
        self.total = total
        self.want = self.answer_of(p.cwd)
        if not self.want:
            raise Failed("%s: the reference run gave no answer" % self.name)
        drop_workdir(p.cwd)
        return self.want

    def progress(self, p):
        if self.metric == "cpu":
            return p.cpu()
        if self.metric == "lines":
            return p.lines()
        if self.metric == "time":
            return time.monotonic() - p.began
        return os.path.getsize(p.out)

    def moment(self):
        """A random moment, as an amount of progress."""
        return random.uniform(*self.span) * self.total

    def reach(self, p, amount):
        """Let p run until it has done that much, and a random little more; False if it ended."""
        def there():
            return p.ended() or self.progress(p) >= amount
        wait_for(there, "%s to get on" % self.name)
        spin_until(time.monotonic_ns() + random.randrange(3000000))
        return not p.ended()

    def check(self, where):
        got = self.answer_of(where)
        if got != self.want:
            raise Failed("the answer differs\n" + difference(got, self.want))


def spin_until(ns):
    """To the moment itself: the last of it is burnt, a sleep ends with the timer's and scheduler's beat."""
    left = ns - time.monotonic_ns()
    if left > 4000000:
        time.sleep((left - 2000000) / 1e9)
    while time.monotonic_ns() < ns:
        pass


def difference(got, want):
    if not isinstance(got, bytes):
        return "got  %r\nwant %r" % (got, want)
    g, w = got.split(b"\n"), want.split(b"\n")
    for i, (a, b) in enumerate(zip(g, w)):
        if a != b:
            return "line %d: got %r, want %r (%d and %d lines)" % (i + 1, a[:200], b[:200],
                                                                  len(g), len(w))
    return "got %d lines (%d bytes), want %d (%d)" % (len(g), len(got), len(w), len(want))


# ------------------------------------------------------------------------------------ ckptctl

class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return "status %s\nstdout: %s\nstderr: %s" % (self.status, self.out.strip(),
                                                     self.err.strip())


def ckptctl(*args, env=None, prefix=(), deadline=None):
    """Run the command to its end; no verdict here."""
    argv = list(prefix) + [CKPTCTL] + [str(a) for a in args]
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=deadline or DEADLINE,
                           env=dict(os.environ, LC_ALL="C", **(env or {})))
    except subprocess.TimeoutExpired as e:
        raise Late("%s: not done before the deadline: %r" % (" ".join(argv), e.stderr))
    return Result(p.returncode, p.stdout.decode(errors="replace"),
                  p.stderr.decode(errors="replace"))


class Snapshot:
    def __init__(self, ref, info):
        self.ref, self.info = ref, info


def snap(pid, store, *args, **kw):
    """A snapshot that must succeed."""
    got = ckptctl("snap", "--json", "-o", store, *args, str(pid), **kw)
    if got.status != EXIT_OK:
        kind = Gone if got.status == EXIT_GONE else Failed
        raise kind("snap %d: %r" % (pid, got))
    try:
        info = json.loads(got.out)
        return Snapshot(info["ref"], info)
    except (ValueError, KeyError, TypeError) as err:
        raise Failed("snap --json printed no ref (%r): %s" % (err, got.out))


def restore(ref, store, *args):
    """A restore in the foreground that must end like the program: with status 0."""
    got = ckptctl("restore", ref, "-o", store, *args)
    if got.status != EXIT_OK:
        raise Failed("restore %s: %r" % (ref, got))
    return got


def verify(ref, store):
    got = ckptctl("verify", ref, "-o", store)
    if got.status != EXIT_OK:
        raise Failed("verify %s: %r" % (ref, got))


def restore_detached(ref, store, *args):
    """A restore that is left running; its PID."""
    got = ckptctl("restore", "--detach", ref, "-o", store, *args)
    found = re.search(r"\d+", got.out)
    if got.status != EXIT_OK or not found:
        raise Failed("restore --detach %s: %r" % (ref, got))
    return int(found.group())


class Restored:
    """A restore in the foreground, while it lasts."""

    def __init__(self, ref, store, where, *args):
        self.where = where
        self.out, self.err = os.path.join(where, "restore.out"), os.path.join(where, "restore.err")
        with open(self.out, "wb") as o, open(self.err, "wb") as e:
            self.popen = subprocess.Popen([CKPTCTL, "restore", ref, "-o", store, *args],
                                          stdin=subprocess.DEVNULL, stdout=o, stderr=e)

    def ended(self):
        return self.popen.poll() is not None

    def finish(self):
        try:
            status = self.popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise Late("the restored program did not end before the deadline\n" + self.last_words())
        if status:
            raise Failed("restore: status %d\n%s\n%s" % (status, text(self.err, ""), self.last_words()))

    def last_words(self):
        """What the program itself has said last, on both streams."""
        return "\n".join("%s: %s" % (n, text(os.path.join(self.where, n), "")[-300:])
                         for n in ("stdout", "stderr"))


def listing(store):
    """What `list --json` shows of a store: a list of refs."""
    got = ckptctl("list", "--json", "-o", store)
    if got.status != EXIT_OK:
        raise Failed("list: %r" % got)
    return [g["ref"] for g in json.loads(got.out)["generations"]]


def tree(path):
    """Every name below path with size and mtime: what 'untouched' is compared by. Without the account
    of what was done there, which tells of failures too, and the catalogue, which is made by looking.
    """
    got = []
    for base, dirs, files in os.walk(path):
        for n in dirs + files:
            if n in (".audit", ".catalogue"):
                continue
            st = os.lstat(os.path.join(base, n))
            got.append((os.path.relpath(os.path.join(base, n), path), st.st_size, st.st_mtime_ns))
    return sorted(got)


# ------------------------------------------------------------- the two ways a program goes on

def restored_runs_end_the_same(t, job, moments, kill=False):
    """Snapped at random moments, killed, restored: the answer is the uninterrupted run's.

    Without kill the program runs on past the snapshot and writes more before SIGKILL comes, so the
    restore has to bring its output files back too; with kill, ckptctl ends it while still frozen.
    """
    for k in range(moments):
        fact = "%s_snapped_%skilled_restored_answers_the_same_%d_of_%d" % (
            job.name, "and_" if kill else "then_", k + 1, moments)
        with t.fact(fact):
            p, s, store = snapped(t, job, kill)
            if kill:
                status = p.wait_end()
                if status != -signal.SIGKILL:
                    raise Failed("snap --kill: the program ended with %d, not by SIGKILL" % status)
                end_children()      # of a tree: who were its children are ours now
            else:
                job.reach(p, min(1.0, random.uniform(0.01, 0.2) + 0.02) * job.total)
                p.kill9()
            r = Restored(s.ref, store, p.cwd)
            if job.during:
                job.during(p.cwd, r.ended)
            r.finish()
            job.check(p.cwd)
            drop_workdir(store)
            drop_workdir(p.cwd)


def snapped(t, job, kill):
    """Start the job, snap it at a random moment; again, and sooner, if it ended before the moment came."""
    for late in range(5):
        p = job.start()
        amount = job.moment() / 2 ** late
        job.reach(p, amount)
        store = workdir("store")
        try:
            s = snap(p.pid, store, *job.snap_args, *(["--kill"] if kill else []))
            t.diag("%s: snapped at %.0f %% of its %s; %s" % (
                job.name, 100.0 * amount / job.total, job.metric, brief(s.info)))
            return p, s, store
        except Gone:
            job.attend(p)
            p.finish()
        drop_workdir(store)
        drop_workdir(p.cwd)
    raise Failed("%s ended before the moment to snap it, five times over" % job.name)


def brief(info):
    """The figures of a snap, on one line."""
    pause = info.get("pause", {})
    return "pause %.0f us (%s)" % (pause.get("total_ns", 0) / 1000, ", ".join(
        "%s %d" % (k.removesuffix("_ns"), v // 1000 if k.endswith("_ns") else v)
        for k, v in pause.items() if k != "total_ns"))


def run_through(job, moments, late):
    """One run, snapped at random moments and left alone: how many of them it lived to see.

    late: how many runs before it did not live to see one.
    """
    p = job.start()
    store = workdir("store")
    taken = 0
    for amount in sorted(job.moment() / 2 ** late for _ in range(moments)):
        job.reach(p, amount)
        with contextlib.suppress(Gone):
            snap(p.pid, store, *job.snap_args)
            taken += 1
    job.attend(p)
    p.finish()
    job.check(p.cwd)
    drop_workdir(store)
    drop_workdir(p.cwd)
    return taken


def left_running_ends_the_same(t, job, moments):
    """It never notices. Again if it ended before the first moment came."""
    with t.fact("%s_left_running_after_%d_snapshots_answers_the_same" % (job.name, moments)):
        if not any(run_through(job, moments, late) for late in range(5)):
            raise Failed("it ended before the first snapshot, five times over")


def both_ways(t, job, restored=None, running=None, kill=None):
    """The usual set for one job: reference, restored, left running, and with snap --kill."""
    restored = full(5, 1) if restored is None else restored
    running = full(5, 2) if running is None else running
    kill = full(1, 1) if kill is None else kill
    began = time.monotonic()
    with t.fact("%s_runs_uninterrupted" % job.name):
        job.reference()
        t.diag("%s: %.1f s uninterrupted" % (job.name, time.monotonic() - began))
    if job.want is None:
        return
    if restored:
        restored_runs_end_the_same(t, job, restored)
    if kill:
        restored_runs_end_the_same(t, job, kill, kill=True)
    if running:
        left_running_ends_the_same(t, job, running)


# ----------------------------------------------------------------------- module and kernel

def need_module():
    if os.path.exists("/dev/ckpt"):
        return
    got = subprocess.run(["insmod", MODULE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if got.returncode:
        raise Failed("insmod %s: %s" % (MODULE, got.stdout.decode(errors="replace")))
    wait_for(lambda: os.path.exists("/dev/ckpt"), "/dev/ckpt to appear")


def rmmod():
    return subprocess.run(["rmmod", "ckpt"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).returncode == 0


def counters():
    """The module's object counters, {name: value}; None if it has none to show."""
    if not os.path.exists(COUNTERS):
        subprocess.run(["mount", "-t", "debugfs", "none", "/sys/kernel/debug"],
                       stderr=subprocess.DEVNULL)
    try:
        with open(COUNTERS) as f:
            return {k: int(v) for k, v in re.findall(r"^\s*([\w.-]+)\s*[:=]?\s+(-?\d+)",
                                                     f.read(), re.M)}
    except FileNotFoundError:
        return None


def held(tracked=0):
    """What the module holds, but for the accounts of so many tracked programs; None: not readable."""
    got = counters()
    if got is None:
        return None
    if tracked and got.get("tracks", 0) <= tracked:
        got = {k: v for k, v in got.items() if k not in ("tracks", "covers")}
    return {k: v for k, v in got.items() if v}


def wait_for_counters_zero(tracked=0):
    """What is still held when everything should be gone; {} if nothing, after a fair wait.

    A program that was snapshotted and lives is tracked: the accounts of so many are not counted. Work that ends through RCU or a work queue may trail the close that started it.
    """
    left = None

    def zero():
        nonlocal left
        left = held(tracked)
        if left is None:
            left = {"counters": "not readable"}
            return False
        return not left
    with contextlib.suppress(Late):
        wait_for(zero, "counters", 10)
    return left


def memory():
    """/proc/meminfo in KiB, caches dropped first."""
    os.sync()
    for _ in range(2):
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
    info = dict(re.findall(r"^(\w+):\s+(\d+)", text("/proc/meminfo"), re.M))
    return {k: int(v) for k, v in info.items()}


def files(path):
    """The same of files alone: a directory's own time changes when a temporary comes and goes."""
    return [x for x in tree(path) if not os.path.isdir(os.path.join(path, x[0]))]


def slabs():
    """Objects in use by slab cache."""
    got = {}
    for line in text("/proc/slabinfo", "").split("\n")[2:]:
        f = line.split()
        if len(f) > 3:
            got[f[0]] = (int(f[1]), int(f[3]))
    return got


def prog(name):
    return os.path.join(WORKLOAD, name)


def loader():
    """What runs a program with another C library: that of the directory $CKPT_LIBC, if there is one."""
    where = os.environ.get("CKPT_LIBC")
    return [os.path.join(where, "ld-linux-x86-64.so.2"), "--library-path", where] if where else []


def script(name):
    return os.path.join(SCRIPTS, name)
