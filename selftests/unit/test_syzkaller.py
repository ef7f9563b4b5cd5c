#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""test_syzkaller.py: the description for syzkaller tells what the uapi header does.

Names are taken from the text of the header, sizes, offsets and numbers from the compiler; nothing is
written down here. How the description is laid out follows from its own text.
"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HEADER = os.path.join(TOP, "uapi/linux/ckpt.h")
TEXT = os.path.join(TOP, "selftests/syzkaller/ckpt.txt")
CONST = TEXT + ".const"

# Of the header's names, those that are not numbers of its interface: each is in others.
PARTS = re.compile(r"CKPT_DEVICE|CKPT_IOC_TYPE|CKPT_ID_LEN|CKPT_CMD_\w+")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


class Tap:
    """One case a kind of thing; the lines of a failed one tell which."""

    def __init__(self):
        self.count = self.failed = 0

    def check(self, name, complaints):
        self.count += 1
        self.failed += bool(complaints)
        for line in complaints:
            print(f"# {line}")
        print(f"{'not ' if complaints else ''}ok {self.count} {name}")


class Header:
    """Structures, ioctls and other numbers of the header, and what the compiler makes of them."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        self.fields = {}
        for name, body in re.findall(r"\bstruct (\w+) \{(.*?)\n\};", text, re.S):
            body = re.sub(r"__attribute__\(\(.*\)\)", "", body)
            self.fields[name] = re.findall(r"(\w+)(?:\[\w+\])?\s*;", body)
        names = re.findall(r"#define[ \t]+(CKPT_\w+)[ \t]+\S", text)
        for body in re.findall(r"\benum \w+ \{(.*?)\n\};", text, re.S):
            names += re.findall(r"\b(CKPT_\w+)\b(?=\s*[=,\n])", body)
        self.ioctls = re.findall(r"#define[ \t]+(CKPT_\w+)[ \t]+_IO", text)
        self.names = [n for n in names if not PARTS.fullmatch(n)]
        self.device = re.search(r'#define[ \t]+CKPT_DEVICE[ \t]+"(.*)"', text)[1]
        self.layout, self.sizes, self.numbers = self._compile()

    def _compile(self):
        lines = [f'printf("number {n} %llu\\n", (unsigned long long)({n}));' for n in self.names]
        for s, fields in self.fields.items():
            lines.append(f'printf("size {s} %zu\\n", sizeof(struct {s}));')
            lines += [f'printf("field {s}.{f} %zu,%zu\\n", offsetof(struct {s}, {f}), '
                      f'sizeof(((struct {s} *)0)->{f}));' for f in fields]
        program = ('#include <stddef.h>\n#include <stdio.h>\n#include <linux/ckpt.h>\n'
                   'int main(void)\n{\n' + "\n".join(lines) + "\nreturn 0;\n}\n")
        with tempfile.TemporaryDirectory() as tmp:
            subprocess.run(["gcc", f"-I{TOP}/uapi", "-x", "c", "-", "-o", f"{tmp}/a"],
                           input=program, text=True, check=True)
            out = subprocess.run([f"{tmp}/a"], check=True, stdout=subprocess.PIPE, text=True).stdout
        layout, sizes, numbers = {s: {} for s in self.fields}, {}, {}
        for kind, name, value in (line.split() for line in out.splitlines()):
            if kind == "number":
                numbers[name] = int(value)
            elif kind == "size":
                sizes[name] = int(value)
            else:
                struct, field = name.split(".")
                layout[struct][field] = tuple(int(x) for x in value.split(","))
        return layout, sizes, numbers


class Description:
    """As much of syzkaller's language as the description uses."""

    BASE = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}

    def __init__(self, text):
        self.text = re.sub(r"(?m)#.*$", "", text)
        self.resources = dict(re.findall(r"(?m)^resource (\w+)\[(\w+)\]", self.text))
        self.resources |= {"fd": "int32", "pid": "int32"}	# syzkaller's own
        self.structs = {}
        for name, body in re.findall(r"(?m)^(\w+) \{\n\t(.*?)\n\}", self.text, re.S):
            lines = re.sub(r"\t+", "\t", body).split("\n\t")
            self.structs[name] = [line.split("\t", 1) for line in lines]
        self.flags = {n: v.split(", ") for n, v in re.findall(r"(?m)^(\w+) = (.*)$", self.text)}
        self.calls = {n: a for n, a in re.findall(r"(?m)^(\w+\$\w+)\((.*)\)", self.text)}

    def size(self, kind):
        """(size, alignment) of a type in a structure."""
        kind = re.sub(r"\s*\((in|out|inout)\)$", "", kind.strip())
        name, _, options = kind.partition("[")
        options = options[:-1]
        if name in self.structs:
            offsets = self.layout(name)
            return offsets[None], max(self.size(k)[1] for _, k in self.structs[name])
        if name in self.resources:
            return self.size(self.resources[name])
        if name in self.BASE:
            return self.BASE[name], self.BASE[name]
        if name == "ptr64":
            return 8, 8
        if name == "array":
            inner, nr = options.rsplit(", ", 1)
            size, align = self.size(inner)
            return size * int(nr), align
        if name in ("const", "flags", "len", "bytesize"):
            if name == "flags" and options.split(", ")[0] not in self.flags:
                raise ValueError(f"{kind}: no such flags")
            return self.size(options.rsplit(", ", 1)[1])
        raise ValueError(f"{kind}: of what size?")

    def layout(self, struct):
        """Field -> (offset, size); None -> size of the whole, without room added at its end."""
        offsets, at, widest = {}, 0, 1
        for field, kind in self.structs[struct]:
            size, align = self.size(kind)
            at = (at + align - 1) // align * align
            offsets[field] = (at, size)
            at += size
            widest = max(widest, align)
        offsets[None] = (at + widest - 1) // widest * widest
        return offsets


def structures(header, text):
    bad = []
    for name in header.fields:
        if name not in text.structs:
            bad.append(f"struct {name}: not described")
            continue
        layout = text.layout(name)
        if layout.pop(None) != header.sizes[name]:
            bad.append(f"struct {name}: {header.sizes[name]} bytes")
        bad += [f"struct {name}: {f} is not described" for f in header.fields[name]
                if f not in layout]
        bad += [f"{name}: {f} at {was}, but the header has {header.layout[name].get(f)}"
                for f, was in layout.items() if header.layout[name].get(f) != was]
    return bad + [f"{n}: not in the header" for n in text.structs if n not in header.fields]


def directions(text):
    """What the header calls out_* is the kernel's, the rest the caller's."""
    return [f"{s}.{f}: {k}" for s, fields in text.structs.items() for f, k in fields
            if f.startswith("out_") != k.endswith("(out)")]


def ioctls(header, text):
    bad = []
    for name in header.ioctls:
        args = text.calls.get("ioctl$" + name, "")
        m = re.fullmatch(r"fd (\w+), cmd const\[(\w+)\], arg ptr\[inout, (\w+)\]", args)
        if not m or m[2] != name or m[1] not in text.resources or m[3] not in text.structs:
            bad.append(f"{name}: {args or 'not described'}")
        elif text.structs[m[3]][0] != ["size", "len[parent, int32]"]:
            bad.append(f"{m[3]} does not begin with its size")
    bad += [f"{c}: not in the header" for c in text.calls
            if c.startswith("ioctl$") and c[6:] not in header.ioctls]
    if f'string["{header.device}"]' not in text.calls.get("openat$ckpt", ""):
        bad.append(f"{header.device} is not opened")
    return bad


def values(header, text):
    used = set(re.findall(r"\bCKPT_\w+", text.text))
    listed = [v for values in text.flags.values() for v in values]
    unused = [n for n in text.flags if not re.search(r"flags\[" + n + r"\b", text.text)]
    return [f"{n}: not described" for n in header.names if n not in used] + \
        [f"{n}: not in the header" for n in sorted(used) if n not in header.numbers] + \
        [f"{n}: twice" for n in sorted(set(listed)) if listed.count(n) > 1] + \
        [f"{n}: no field has it" for n in unused]


def constants(header, text, const):
    listed = dict(re.findall(r"(?m)^(\w+) = (\d+)$", const))
    used = set(re.findall(r"\b(?:CKPT|AT|O)_[A-Z]\w+", text.text))
    used |= {"__NR_" + c.split("$")[0] for c in text.calls}
    bad = [f"{n}: no number" for n in sorted(used) if n not in listed]
    bad += [f"{n}: not used" for n in listed if n not in used]
    return bad + [f"{n}: {listed[n]}, but the header has {v}" for n, v in header.numbers.items()
                  if n in listed and int(listed[n]) != v]


def main():
    tap = Tap()
    header, text = Header(read(HEADER)), Description(read(TEXT))
    print("TAP version 13")
    tap.check("every_structure_and_field_is_described_as_laid_out", structures(header, text))
    tap.check("what_the_kernel_writes_is_marked", directions(text))
    tap.check("every_ioctl_is_described", ioctls(header, text))
    tap.check("every_value_is_described_and_has_a_place", values(header, text))
    tap.check("every_number_is_that_of_the_header", constants(header, text, read(CONST)))
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


sys.exit(main())
