#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Images that are encrypted: nothing the program holds is to be found in the store, who has a key gets
the program back as it was, and nobody else gets anything.
"""
import base64
import hashlib
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

# Each SIGUSR1 changes its memory by what is in it: "now N DIGEST".
PROGRAM = """
import hashlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
memory = bytearray(("memory-" + sys.argv[1]).encode() * 50000)
print("ready", flush=True)
n = 0
while signal.sigwait({signal.SIGUSR1, signal.SIGTERM}) == signal.SIGUSR1:
    n += 1
    memory[n * 5000:n * 5000 + 64] = hashlib.sha512(memory).digest()
    print("now", n, hashlib.sha256(memory).hexdigest(), flush=True)
"""
SECRET = "s3cret-" + os.urandom(12).hex()


def expected(steps):
    """The program's last line."""
    memory, last = bytearray(("memory-" + SECRET).encode() * 50000), None
    for n in range(1, steps + 1):
        memory[n * 5000:n * 5000 + 64] = hashlib.sha512(memory).digest()
        last = "now %d %s\n" % (n, hashlib.sha256(memory).hexdigest())
    return last.encode()


def step(p, n, pid=None):
    os.kill(pid or p.pid, signal.SIGUSR1)
    ct.wait_for(lambda: p.output().endswith(expected(n)) or None, "line %d, not %r" % (n, p.output()))


def keygen(name):
    """Path of the secret key, the public one, and the secret's 32 bytes."""
    path = os.path.join(ct.workdir("keys"), name)
    got = ct.ckptctl("keygen", path)
    if got.status != ct.EXIT_OK or not re.fullmatch(r"ckpt-public-1:[A-Za-z0-9_-]{48}\n", got.out):
        raise ct.Failed("keygen: %r" % got)
    line = re.search(r"^ckpt-secret-1:(\S+)$", ct.text(path), re.M)[1]
    return path, got.out.strip(), base64.urlsafe_b64decode(line)[:32]


def files_with(store, needle):
    found = []
    for base, _, names in os.walk(store):
        found += [n for n in names if needle in ct.read(os.path.join(base, n))]
    return found


def refused(got, *wants):
    if got.status != ct.EXIT_FAILED or not all(w in got.err for w in wants):
        raise ct.Failed("not refused with %r: %r" % (wants, got))


def keygen_facts(t, path, public):
    with t.fact("a_secret_key_is_its_owners_alone_and_not_written_over"):
        mode = os.stat(path).st_mode & 0o7777
        if mode != 0o600 or "# " + public not in ct.text(path):
            raise ct.Failed("mode %o: %r" % (mode, ct.text(path)))
        before = ct.read(path)
        refused(ct.ckptctl("keygen", path), "File exists")
        if ct.read(path) != before:
            raise ct.Failed("it was written over")


def store_facts(t, p, store):
    with t.fact("a_secret_of_the_program_is_in_no_file_of_the_store"):
        plain = ct.workdir("plain")
        ct.snap(p.pid, plain, "-n", "job", "--compress", "none", "--untracked")
        for needle in (SECRET.encode(), b"memory-s3cret-", PROGRAM[:30].encode()):
            if not files_with(plain, needle):
                raise ct.Failed("%r is not in the store where it should be" % needle)
            if files_with(store, needle):
                raise ct.Failed("%r is in %r" % (needle, files_with(store, needle)))
    with t.fact("list_verify_gc_and_show_need_no_key"):
        if ct.listing(store) != ["job@1", "job@2"]:
            raise ct.Failed("%r" % ct.listing(store))
        got = ct.ckptctl("verify", "-o", store, "job")
        if got.status != ct.EXIT_OK or "not authenticated without the key" not in got.out:
            raise ct.Failed("verify: %r" % got)
        got = ct.ckptctl("gc", "-o", store, "--keep", "1", "--json")
        if got.status != ct.EXIT_OK or json.loads(got.out)["locked"] != 1 or len(ct.listing(store)) != 2:
            raise ct.Failed("gc: %r" % got)
        got = ct.ckptctl("show", "-o", store, "job", "--json")
        image = json.loads(got.out)["image"]
        if not (image["encrypted"] and image["locked"] and len(image["recipients"]) == 2):
            raise ct.Failed("show: %r" % got)


def no_key_facts(t, store, alice, eve):
    before = ct.tree(store)
    with t.fact("without_a_key_that_fits_it_is_not_restored"):
        refused(ct.ckptctl("restore", "-o", store, "job"), "is encrypted to ckpt-public-1:", "--identity")
        refused(ct.ckptctl("restore", "-o", store, "job", "--identity", eve), "no key was given that opens it")
        refused(ct.ckptctl("restore", "-o", store, "job", env={"CKPT_IDENTITY": eve}), "is encrypted to")
    with t.fact("nothing_else_is_read_without_a_key_that_fits"):
        core = os.path.join(ct.workdir("core"), "core")
        refused(ct.ckptctl("export", "-o", store, "--core", core, "job"), "is encrypted to")
        refused(ct.ckptctl("diff", "-o", store, "job@1", "job@2"), "is encrypted to")
        refused(ct.ckptctl("compact", "-o", store, "job"), "is encrypted to")
        if os.path.exists(core) or ct.tree(store) != before:
            raise ct.Failed("something was written")
    with t.fact("with_another_key_verify_and_show_tell_what_they_do_without"):
        for verb in ("verify", "show"):
            got = ct.ckptctl(verb, "-o", store, "--identity", eve, "job")
            if got.status != ct.EXIT_OK or "no key that was given opens it" not in got.out:
                raise ct.Failed("%s: %r" % (verb, got))
    with t.fact("a_secret_key_that_others_can_read_is_not_used"):
        os.chmod(alice, 0o644)
        refused(ct.ckptctl("restore", "-o", store, "job", "--identity", alice), alice, "chmod 600")
        os.chmod(alice, 0o600)


def memory_of(pid):
    """What a debugger could read of it."""
    got = []
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or "[v" in line:
                continue
            mem.seek(begin)
            got.append(mem.read(end - begin))
    return b"".join(got)


def runs(pid):
    """Whether it is let go, and no copy of ckptctl any more."""
    status = ct.text("/proc/%d/status" % pid, "")
    return re.search(r"^Name:\s+python", status) and re.search(r"^TracerPid:\s+0$", status, re.M)


def restored_facts(t, p, store, key, secret):
    with t.fact("with_a_key_it_is_as_it_was"):
        pid = ct.restore_detached("job", store, "--identity", key)
        step(p, 2, pid)
        os.kill(pid, signal.SIGTERM)
        if ct.reap(pid):
            raise ct.Failed("it did not end well")
    with t.fact("no_key_is_in_memory_while_the_program_runs"):
        r = ct.Restored("job", store, p.cwd, "--identity", key)
        ct.wait_for(lambda: runs(p.pid) or None, "the program")
        step(p, 2)
        for pid in (p.pid, r.popen.pid):
            if secret in memory_of(pid):
                raise ct.Failed("the secret key is in the memory of %d" % pid)
        if ("memory-" + SECRET).encode() not in memory_of(p.pid):
            raise ct.Failed("its own secret is not found: the search does not work")
        locked = re.findall(r"^VmFlags:.* dc.*$", ct.text("/proc/%d/smaps" % r.popen.pid), re.M)
        if locked:
            raise ct.Failed("memory for keys is still there: %r" % locked)
        os.kill(p.pid, signal.SIGTERM)
        r.finish()
    with t.fact("folded_with_a_key_it_is_encrypted_still"):
        got = ct.ckptctl("compact", "-o", store, "job", "--identity", key, "--compress", "none")
        if got.status != ct.EXIT_OK or files_with(store, b"memory-s3cret-"):
            raise ct.Failed("%r, in clear: %r" % (got, files_with(store, b"memory-s3cret-")))
        got = ct.ckptctl("verify", "-o", store, "job@2", env={"CKPT_IDENTITY": key})
        if got.status != ct.EXIT_OK or "not authenticated" in got.out:
            raise ct.Failed("verify: %r" % got)
        pid = ct.restore_detached("job@2", store, "--identity", key)
        step(p, 2, pid)
        os.kill(pid, signal.SIGTERM)
        ct.reap(pid)


def main(t):
    (alice, public, _), (bob, public2, secret), (eve, _, _) = [keygen(n) for n in ("alice", "bob", "eve")]
    keygen_facts(t, alice, public)
    store = ct.workdir("store")
    p = ct.Program([ct.PYTHON, "-c", PROGRAM, SECRET], ct.workdir("program"))
    p.wait_output(b"ready\n")
    team = os.path.join(ct.workdir("team"), "team")
    with open(team, "w", encoding="ascii") as f:
        f.write("# who may read it\n%s\n" % public2)
    ct.snap(p.pid, store, "-n", "job", "--compress", "none", "--encrypt-to", public, "--encrypt-to", team)
    step(p, 1)
    with t.fact("what_follows_an_encrypted_one_is_not_in_the_clear_by_mistake"):
        refused(ct.ckptctl("snap", "-o", store, "-n", "job", p.pid), "job@1: is encrypted", "--encrypt-to")
        refused(ct.ckptctl("snap", "-o", store, "-n", "job", "--encrypt-to", alice, p.pid), "is a secret key")
        if ct.listing(store) != ["job@1"] or p.ended():
            raise ct.Failed("%r" % ct.listing(store))
    with t.fact("a_delta_is_taken_with_public_keys_alone"):
        got = ct.snap(p.pid, store, "-n", "job", "--delta", "--compress", "none", "--encrypt-to", public,
                      "--encrypt-to", team)
        if got.info["delta"]["parent"] != "job@1" or not got.info["encrypted"]:
            raise ct.Failed("%r" % got.info)
    step(p, 2)
    store_facts(t, p, store)
    p.kill9()
    no_key_facts(t, store, alice, eve)
    restored_facts(t, p, store, bob, secret)


ct.run(main)
