#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""test_api_keys.py [LIBCKPT MKIMAGE]: keys as a program that uses libckpt has them."""
import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
KEY_TEXT = 64


class Lib:
	"""Calls return 0 or -errno; what they say is in text()."""

	def __init__(self, path):
		self.lib = ctypes.CDLL(path)
		self.lib.ckpt_err_new.restype = ctypes.c_void_p
		self.lib.ckpt_err_text.restype = ctypes.c_char_p
		self.err = ctypes.c_void_p(self.lib.ckpt_err_new())

	def call(self, name, *args):
		self.lib.ckpt_err_clear(self.err)
		return getattr(self.lib, name)(*args)

	def text(self):
		return self.lib.ckpt_err_text(self.err).decode()

	def keygen(self, path):
		public = ctypes.create_string_buffer(KEY_TEXT)
		ret = self.call("ckpt_keygen", path.encode(), self.err, public)
		return ret, public.value.decode()

	def open(self, path):
		store = ctypes.c_void_p()
		if self.call("ckpt_store_open", path.encode(), self.err, ctypes.byref(store)):
			raise RuntimeError(self.text())
		return store

	def identity(self, store, path):
		return self.call("ckpt_store_identity", store, path.encode(), self.err)

	def verify(self, store, ref):
		return self.call("ckpt_store_verify", store, ref.encode(), self.err)

	def compact(self, store, ref):
		return self.call("ckpt_store_compact", store, ref.encode(), self.err)

	def show(self, store, ref):
		out = ctypes.c_char_p()
		ret = self.call("ckpt_store_show", store, ref.encode(), self.err, ctypes.byref(out))
		return ret, json.loads(out.value) if not ret else None


class Tap:
	def __init__(self):
		self.count = self.failed = 0

	def check(self, name, got, want):
		self.count += 1
		self.failed += got != want
		if got != want:
			print(f"# {got!r}, not {want!r}")
		print(f"{'' if got == want else 'not '}ok {self.count} {name}")


def set_env(path):
	# libckpt looks at the environment of C
	ctypes.CDLL(None).setenv(b"CKPT_IDENTITY", path.encode(), 1)


def ckptctl(path, tap, store, other):
	"""The same of the command, with a key that does not fit."""
	def run(*args):
		done = subprocess.run([path, *args[:1], "--store", store, "--identity", other, *args[1:]],
				      env={"CKPT_IDENTITY": ""}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
				      text=True, check=False)
		return done.returncode, done.stdout + done.stderr

	for args in (["job"], ["--all"]):
		ret, text = run("verify", *args)
		tap.check(f"verify_{args[0].strip('-')}_goes_by_the_checksums_and_says_so",
			  (ret, "no key that was given opens it" in text), (0, True))
	images = json.loads(run("verify", "--json", "job")[1])["images"]
	tap.check("and_tells_programs", [(o["ok"], o["encrypted"], o["locked"]) for o in images], [(True,) * 3])
	ret, text = run("show", "job")
	tap.check("show_tells_the_header_and_says_so", (ret, "no key that was given opens it" in text), (0, True))
	for args in (["export", "--core", store + "/core", "job"], ["diff", "job@1", "job@2"], ["compact", "job"]):
		ret, text = run(*args)
		tap.check(f"{args[0]}_fails", (ret, "no key was given that opens it" in text), (1, True))
	for key, how in (("option", ["--identity", "/nonexistent"]), ("environment", [])):
		done = subprocess.run([path, "gc", "--store", store, *how], stderr=subprocess.PIPE, text=True, check=False,
				      env={"CKPT_IDENTITY": "" if how else "/nonexistent"}, stdout=subprocess.DEVNULL)
		tap.check(f"gc_with_a_key_by_{key}_that_is_not_there", (done.returncode, "/nonexistent" in done.stderr),
			  (1 if how else 0, True))
	tap.check("export_tar_needs_no_key", run("export", "--tar", os.path.dirname(store) + "/tar", "job")[0], 0)


def main():
	libckpt, mkimage = sys.argv[1:] or (f"{TOP}/build/libckpt.so", f"{TOP}/build/unit/mkimage")
	tap, lib = Tap(), Lib(libckpt)
	print("TAP version 13")
	os.environ.pop("CKPT_IDENTITY", None)
	with tempfile.TemporaryDirectory() as tmp:
		store_path, mine, other = f"{tmp}/s", f"{tmp}/mine", f"{tmp}/other"
		os.makedirs(f"{store_path}/job", 0o700)
		made, public = lib.keygen(mine)
		tap.check("a_pair_is_made", (made, public[:14], oct(os.stat(mine).st_mode & 0o7777)),
			  (0, "ckpt-public-1:", "0o600"))
		tap.check("a_key_is_not_written_over", (lib.keygen(mine)[0], mine in lib.text()), (-errno.EEXIST, True))
		lib.keygen(other)
		gens = [f"{store_path}/job/gen-0000000{n}.ckpt" for n in (1, 2)]
		subprocess.run([mkimage, gens[1], gens[0], public], check=True)
		store = lib.open(store_path)
		tap.check("without_a_key_checksums_are_verified", lib.verify(store, "job"), 0)
		shown = lib.show(store, "job")[1]["image"]
		tap.check("without_a_key_the_header_is_shown", (shown["encrypted"], shown["locked"], shown["recipients"]),
			  (True, True, [public]))
		tap.check("without_a_key_nothing_is_folded", (lib.compact(store, "job"), public in lib.text()),
			  (-errno.ENOKEY, True))
		os.chmod(other, 0o644)
		tap.check("a_key_that_others_can_read_is_refused", lib.identity(store, other), -errno.EACCES)
		os.chmod(other, 0o600)
		tap.check("another_key_is_taken", lib.identity(store, other), 0)
		tap.check("one_that_does_not_fit_is_no_worse_than_none",
			  (lib.verify(store, "job"), lib.text(), lib.show(store, "job")[1]["image"]["locked"]),
			  (0, "", True))
		tap.check("and_folds_nothing", lib.compact(store, "job"), -errno.ENOKEY)
		tap.check("one_more_key_is_taken", lib.identity(store, mine), 0)
		tap.check("and_opens_it", lib.verify(store, "job"), 0)
		# made for readers of the format, it has no state that could be shown
		tap.check("then_all_is_read_to_be_shown", (lib.show(store, "job")[0], "state record" in lib.text()),
			  (-errno.EINVAL, True))
		lib.lib.ckpt_store_close(store)

		set_env(other)
		tap.check("the_environments_key_is_used_of_a_path", (lib.verify(None, gens[1]), lib.show(None, gens[1])[0]),
			  (0, 0))
		set_env(mine)
		tap.check("and_opens_it_if_it_fits", (lib.verify(None, gens[1]), lib.show(None, gens[1])[0]),
			  (0, -errno.EINVAL))
		ckptctl(f"{os.path.dirname(libckpt)}/ckptctl", tap, store_path, other)
		store = lib.open(store_path)
		tap.check("the_environments_key_is_used_of_a_store", lib.compact(store, "job"), 0)
		shown = json.loads(subprocess.run([f"{os.path.dirname(libckpt)}/ckptctl", "show", "--json", gens[1]],
						  env={"CKPT_IDENTITY": ""}, check=True, stdout=subprocess.PIPE).stdout)
		tap.check("what_was_folded_is_encrypted_to_the_same_key", (shown["image"]["delta"],
			  shown["image"]["recipients"]), (False, [public]))
		lib.lib.ckpt_store_close(store)
		shutil.rmtree(store_path)
	lib.lib.ckpt_err_free(lib.err)
	print(f"1..{tap.count}")
	return 1 if tap.failed else 0


sys.exit(main())
