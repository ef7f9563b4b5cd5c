#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""abi: what programs compiled yesterday rely on, as text: docs/abi.txt.

Of uapi/linux/ckpt.h and libckpt.h: each struct with the place of every field, each enum and constant
with its value (ioctl numbers are constants), each function's prototype and symbol version.

    tools/abi.py		print the listing of this tree
    tools/abi.py --check	compare it with docs/abi.txt; exit status 1 when something old has changed

A struct may grow at its end when it tells its size: by its first member, or as a state record. All
else may only be added. Layout is read from DWARF by pahole, prototypes are the compiler's.
"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
LISTING = "docs/abi.txt"
HEADERS = ("uapi/linux/ckpt.h", "userspace/lib/libckpt.h")
FLAGS = ["-D_GNU_SOURCE", "-Iuapi", "-Iuserspace/lib"]
LIBRARY = "build/libckpt.so"

PROLOGUE = '#include <stdio.h>\n#include "libckpt.h"\n'
SHOW = """
static void number(const char *name, unsigned long long n) { printf("%s\\t%#llx\\n", name, n); }
static void text(const char *name, const char *s) { printf("%s\\t\\"%s\\"\\n", name, s); }
#define SHOW(x) _Generic((x), char *: text, const char *: text, default: number)(#x, x)
int main(void)
{
%s	return 0;
}
"""


def sh(*cmd):
	done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOP,
			      check=False)
	if done.returncode:
		raise SystemExit(f"abi: {' '.join(cmd[:4])} ...: {done.stderr.strip() or done.stdout.strip()}")
	return done.stdout


def ours(marker):
	"""Whether a line marker of the preprocessor names one of the headers."""
	return any(os.path.normpath(marker) == h for h in HEADERS)


def preprocessed(source, *flags):
	"""Lines of it that come from the headers."""
	mine = False
	for line in sh("gcc", *FLAGS, "-E", *flags, source).splitlines():
		m = re.match(r'# \d+ "([^"]*)"', line)
		if m:
			mine = ours(m[1])
		elif mine:
			yield line


def layouts(source, where):
	"""{"struct NAME": [fields, size last]} and {"enum NAME": [values]}."""
	obj = os.path.join(where, "layout.o")
	# Types nobody uses are wanted too.
	sh("gcc", *FLAGS, "-g", "-fno-eliminate-unused-debug-types", "-c", "-o", obj, source)
	named = re.findall(r"^(?:typedef )?(struct|enum) (\w+)\s*\{?$", "\n".join(preprocessed(source)), re.M)
	blocks = {}
	for kind, name in dict.fromkeys(named):
		text = sh("pahole", "--suppress_aligned_attribute", "-C", name, obj)
		body = [fact for line in text.splitlines() for fact in facts_of(kind, line)]
		if body:
			blocks[f"{kind} {name}"] = body
	return blocks


def facts_of(kind, line):
	if kind == "enum":
		m = re.match(r"\s+(\w+)\s*= (-?\w+),", line)
		return [f"{m[1]} = {int(m[2], 0)}"] if m else []
	m = re.match(r"\s+(.*?);\s*/\*\s*(\d+)(?::\s*(\d+))?\s+(\d+)\s*\*/", line)
	if m:
		bit = f" bit {m[3]}" if m[3] else ""
		return [f"at {m[2]}{bit}, {m[4]} bytes: {' '.join(m[1].split())}"]
	m = re.match(r"\s*/\* size: (\d+),", line)
	return [f"{m[1]} bytes in all"] if m else []


def constants(source, where):
	names = []
	for line in preprocessed(source, "-dD"):
		m = re.match(r"#define (\w+) \S", line)
		if m:
			names.append(m[1])
	path, program = os.path.join(where, "show.c"), os.path.join(where, "show")
	with open(path, "w", encoding="ascii") as f:
		f.write(PROLOGUE + SHOW.replace("%s\tret", "".join(f"\tSHOW({n});\n" for n in names) + "\tret"))
	sh("gcc", *FLAGS, "-o", program, path)
	return [line.replace("\t", " = ") for line in sh(program).splitlines()]


def functions(source, where):
	"""Exported ones, with the version of each symbol."""
	info = os.path.join(where, "prototypes")
	sh("gcc", *FLAGS, "-fsyntax-only", "-aux-info", info, source)
	with open(info, encoding="utf-8") as f:
		declared = {m[2]: m[1] for m in re.finditer(
			r"^/\* \S*libckpt\.h:\d+:\S+ \*/ extern (.*?(\w+) \(.*\));", f.read(), re.M)}
	sh("make", "-s", LIBRARY)
	exported = re.findall(r" [A-Z] (\w+)@+([\w.]+)$", sh("nm", "-D", "--defined-only",
							 "--with-symbol-versions", LIBRARY), re.M)
	return [f"{version}: {declared.get(name, name + ' (in no header)')}" for name, version in sorted(exported)]


def listing():
	"""{heading: [facts]} of this tree."""
	with tempfile.TemporaryDirectory() as where:
		source = os.path.join(where, "all.c")
		with open(source, "w", encoding="ascii") as f:
			f.write(PROLOGUE)
		blocks = layouts(source, where)
		blocks["constants"] = constants(source, where)
		blocks["functions"] = functions(source, where)
	return blocks


def to_text(blocks):
	head = "# The binary interface, made by tools/abi.py.  Changes are deliberate: make abi\n"
	return head + "".join(f"\n{name}\n" + "".join(f"\t{x}\n" for x in body) for name, body in blocks.items())


def from_text(text):
	blocks, body = {}, None
	for line in text.splitlines():
		if line.startswith("\t"):
			body.append(line[1:])
		elif line and not line.startswith("#"):
			body = blocks[line] = []
	return blocks


def may_grow(name, body):
	return name.startswith("struct ckpt_rec_") or re.search(r" (size_t|__u32) size$", body[0])


def changes(old, new):
	"""What breaks programs, as text."""
	for name, was in old.items():
		now = new.get(name)
		if now is None:
			yield f"{name} is gone"
		elif not name.startswith("struct "):
			yield from (f"{name}: was, and is not: {x}" for x in was if x not in now)
		elif was[:-1] != now[:len(was) - 1]:
			yield from (f"{name}: was {a!r}, is {b!r}" for a, b in zip(was[:-1], now + [None] * len(was)) if a != b)
		elif was != now and not may_grow(name, was):
			yield f"{name}: was {was[-1]!r}, is {now[-1]!r}, and does not tell its size"


def check():
	"""(what is broken, what is new) against the listing that is checked in."""
	with open(os.path.join(TOP, LISTING), encoding="utf-8") as f:
		old = from_text(f.read())
	new = listing()
	broken = list(changes(old, new))
	added = [f"{name}: {x}" for name, body in new.items() for x in body if x not in old.get(name, ())]
	return broken, added


def main():
	if sys.argv[1:] == ["--check"]:
		broken, added = check()
		for text, lines in ("changed", broken), ("new", added):
			for line in lines:
				print(f"{text}: {line}")
		return 1 if broken else 0
	sys.stdout.write(to_text(listing()))
	return 0


if __name__ == "__main__":
	sys.exit(main())
