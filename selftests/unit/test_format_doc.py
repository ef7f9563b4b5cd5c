#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""test_format_doc.py [FORMAT_RST MKIMAGE]: the format's page is enough to read an image.

A reader that knows nothing of the library: it takes every offset and size from the tables of the
page and holds the image against what the page says, byte for byte.
"""
import base64
import ctypes
import hashlib
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PAGE = 4096


class Layout:
    """One table of the page: field name -> (offset, size, type)."""

    def __init__(self, rows):
        self.fields = {}
        self.size = 0
        for offset, size, kind, name in rows:
            if offset != self.size:
                raise ValueError(f"{name} at {offset}, the field before ends at {self.size}")
            self.fields[name] = (offset, size, kind)
            self.size = offset + size

    def read(self, data, at):
        out = {}
        for name, (offset, size, kind) in self.fields.items():
            raw = data[at + offset:at + offset + size]
            if kind in ("u32", "u64"):
                if size != {"u32": 4, "u64": 8}[kind]:
                    raise ValueError(f"{name}: {kind} of {size} bytes")
                out[name] = int.from_bytes(raw, "little")
            elif kind.startswith("text["):
                text = raw.rstrip(b"\0")
                if not all(0x20 <= c < 0x7f for c in text):
                    raise ValueError(f"{name}: not text: {raw!r}")
                out[name] = text.decode()
            else:
                if f"u8[{size}]" != kind:
                    raise ValueError(f"{name}: {kind} of {size} bytes")
                out[name] = raw
        return out


def parse_tables(text):
    """The field tables, in the order of the page."""
    names = ["header", "section_header", "section", "frame", "run", "footer", "source", "trailer",
             "keys", "recipient"]
    tables, rows = [], None
    for line in text.splitlines():
        match = re.match(r"(\d+) +(\d+) +(\S+) +(\w+)( |$)", line)
        if line.startswith("Offset  Size"):
            rows = []
            tables.append(rows)
        elif match and rows is not None:
            rows.append((int(match[1]), int(match[2]), match[3], match[4]))
        elif not line.strip():
            rows = None
    if len(tables) != len(names):
        raise ValueError(f"{len(tables)} tables, expected {len(names)}")
    return {name: Layout(rows) for name, rows in zip(names, tables)}


class XXH128(ctypes.Structure):
    _fields_ = [("low64", ctypes.c_uint64), ("high64", ctypes.c_uint64)]


def xxh3_128(data, seed=0):
    lib = ctypes.CDLL("libxxhash.so.0")
    lib.XXH3_128bits_withSeed.restype = XXH128
    lib.XXH3_128bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    h = lib.XXH3_128bits_withSeed(data, len(data), seed)
    return h.high64.to_bytes(8, "big") + h.low64.to_bytes(8, "big")


def unzstd(data, size):
    lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    lib.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                    ctypes.c_size_t]
    out = ctypes.create_string_buffer(size)
    got = lib.ZSTD_decompress(out, size, data, len(data))
    if got != size:
        raise ValueError(f"zstd: {got} bytes, expected {size}")
    return out.raw


def text_page(seed):
    return bytes(b"abcdefgh"[(i // 16 + seed) % 8] for i in range(PAGE))


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def check(self, name, right, detail=""):
        self.count += 1
        if not right:
            self.failed += 1
            print(f"# {detail}")
        print(f"{'' if right else 'not '}ok {self.count} {name}")


def align8(n):
    return (n + 7) // 8 * 8


def check_file(tap, tables, data):
    """Header, trailer, section table; the entries of the table."""
    head = tables["header"].read(data, 0)
    trail = tables["trailer"].read(data, len(data) - tables["trailer"].size)
    entry_layout = tables["section"]
    tap.check("sizes_are_those_of_the_tables",
              (head["header_size"], trail["trailer_size"], trail["entry_size"]) ==
              (tables["header"].size, tables["trailer"].size, entry_layout.size))
    tap.check("magics_are_as_told", head["magic"] == b"\x89CKPT\r\n\x1a" and
              trail["magic"] == b"\x89CKPTEND")
    tap.check("header_says_what_was_written",
              (head["version"], head["page_size"], head["generation"], head["parent_generation"],
               head["pid"], head["comm"], head["job"], head["incompat"], head["compat"]) ==
              (1, PAGE, 2, 1, 4711, "sixteen-bytes-xx", "small", 1, 1), head)
    tap.check("header_checksum", head["hash"] == xxh3_128(data[:496]))
    table_at = trail["table_offset"]
    table_end = table_at + trail["sections"] * entry_layout.size
    tap.check("table_ends_at_the_trailer", table_end == len(data) - tables["trailer"].size)
    tap.check("trailer_agrees_with_header",
              trail["file_size"] == len(data) and trail["version"] == head["version"] and
              trail["id"] == head["id"] and trail["parent_id"] == head["parent_id"])
    tap.check("digest_covers_header_table_trailer",
              trail["digest"] == xxh3_128(data[:tables["header"].size] +
                                          data[table_at:table_end] + data[table_end:-16]))
    entries = [entry_layout.read(data, at) for at in range(table_at, table_end, entry_layout.size)]
    at = tables["header"].size
    fits = True
    for number, entry in enumerate(entries):
        section = tables["section_header"].read(data, entry["offset"])
        fits &= entry["offset"] == at
        fits &= entry["size"] == align8(tables["section_header"].size + entry["body_size"])
        fits &= section["magic"] == b"SECT" and section["ordinal"] == number
        fits &= all(section[f] == entry[f] for f in ("kind", "owner", "sub"))
        fits &= entry["hash"] == xxh3_128(data[at:at + entry["size"]])
        at += entry["size"]
    tap.check("sections_tile_the_file_under_their_checksums", fits and at == table_at)
    return head, trail, entries


def check_pages(tap, tables, data, entry, seed):
    """Content by address of one PAGES section: bytes, or what is told instead."""
    base, end = entry["offset"], entry["offset"] + entry["size"]
    foot = tables["footer"].read(data, end - tables["footer"].size)
    frame_layout, run_layout = tables["frame"], tables["run"]
    frames_at, runs_at = base + foot["frames_offset"], base + foot["runs_offset"]
    good = foot["magic"] == b"PAGESEND" and foot["footer_size"] == tables["footer"].size
    good &= runs_at == frames_at + foot["frames"] * frame_layout.size
    good &= end - tables["footer"].size == runs_at + foot["runs"] * run_layout.size
    good &= foot["hash"] == xxh3_128(data[frames_at:end - 16])
    frames = []
    at = tables["section_header"].size
    for i in range(foot["frames"]):
        frame = frame_layout.read(data, frames_at + i * frame_layout.size)
        stored = data[base + frame["offset"]:base + frame["offset"] + frame["stored_size"]]
        good &= frame["offset"] == at and frame["hash"] == xxh3_128(stored)
        good &= frame["raw_size"] <= foot["frame_pages"] * PAGE
        frames.append(stored if frame["codec"] == 0 else unzstd(stored, frame["raw_size"]))
        at = align8(at + frame["stored_size"])
        for n in range(0, frame["raw_size"], PAGE):
            good &= data[base + at:base + at + 16] == xxh3_128(frames[-1][n:n + PAGE], seed)
            at += 16
    good &= at == foot["frames_offset"]
    memory, count = {}, {1: 0, 2: 0, 3: 0, 4: 0}
    for i in range(foot["runs"]):
        run_at = runs_at + i * run_layout.size
        run = run_layout.read(data, run_at)
        count[run["kind"]] += run["npages"]
        for n in range(run["npages"]):
            addr = run["addr"] + n * PAGE
            if run["kind"] == 1:
                first = (run["page"] + n) * PAGE
                memory[addr] = frames[run["frame"]][first:first + PAGE]
            elif run["kind"] == 2:
                memory[addr] = bytes(PAGE)
            elif run["kind"] == 3:
                offset = int.from_bytes(data[run_at + 24:run_at + 32], "little")
                memory[addr] = ("file", offset + n * PAGE)
            else:
                memory[addr] = "gone"
    good &= [count[k] for k in (1, 2, 3, 4)] == [foot[f] for f in
                                                ("data_pages", "zero_pages", "file_pages",
                                                 "gone_pages")]
    tap.check(f"page_index_of_{entry['owner']}_is_as_told", good)
    return memory


# ------------------------------------------------------------------------------- encryption

class Sodium:
    """What the page says is libsodium's. Hashes are Python's own."""

    def __init__(self):
        self.lib = ctypes.CDLL("libsodium.so.23")
        self.lib.sodium_init()

    def keypair(self):
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        self.lib.crypto_box_keypair(public, secret)
        return public.raw, secret.raw

    def unseal(self, sealed, public, secret):
        out = ctypes.create_string_buffer(len(sealed) - 48)
        if self.lib.crypto_box_seal_open(out, sealed, ctypes.c_ulonglong(len(sealed)), public, secret):
            raise ValueError("the data key does not open")
        return out.raw

    def decrypt(self, sealed, extra, nonce, key):
        out = ctypes.create_string_buffer(len(sealed) - 16)
        if self.lib.crypto_aead_xchacha20poly1305_ietf_decrypt(
                out, None, None, sealed, ctypes.c_ulonglong(len(sealed)), extra,
                ctypes.c_ulonglong(len(extra)), nonce, key):
            raise ValueError("a piece does not open")
        return out.raw


def key_text(kind, key):
    check = hashlib.blake2b(kind + key, digest_size=32).digest()[:4]
    return kind.decode() + base64.urlsafe_b64encode(key + check).decode().rstrip("=")


def derive(key, salt, person):
    return hashlib.blake2b(b"", key=key, salt=salt, person=person, digest_size=32).digest()


def numbers(*pairs):
    return b"".join(n.to_bytes(size, "little") for n, size in pairs)


class Sealed:
    """An encrypted image, read by what the page says."""

    def __init__(self, tables, data, sodium, public, secret):
        self.tables, self.data, self.sodium = tables, data, sodium
        self.head = tables["header"].read(data, 0)
        self.trail = tables["trailer"].read(data, len(data) - tables["trailer"].size)
        self.table_at = self.trail["table_offset"]
        self.entries = [tables["section"].read(data, self.table_at + i * tables["section"].size)
                        for i in range(self.trail["sections"])]
        self.keys_body = self.body(0)
        self.keys = tables["keys"].read(self.keys_body, 0)
        entry = tables["recipient"].read(self.keys_body, tables["keys"].size)
        self.key = sodium.unseal(entry["sealed"], public, secret)
        self.to = entry["key"]
        self.pieces = derive(self.key, self.keys["salt"], b"ckpt pieces")
        self.hashes = derive(self.key, self.keys["salt"], b"ckpt hashes")

    def body(self, i):
        begin = self.entries[i]["offset"] + self.tables["section_header"].size
        return self.data[begin:begin + self.entries[i]["body_size"]]

    def place(self, i, number=0, size=0, codec=0):
        e = self.entries[i]
        return numbers((e["kind"], 4), (e["owner"], 4), (e["sub"], 4), (i, 4), (number, 8), (size, 4),
                       (codec, 4))

    def piece(self, sealed, i, number, size, codec):
        nonce = numbers((i, 4), (0, 4), (number, 8), (0, 8))
        return self.sodium.decrypt(sealed, self.place(i, number, size, codec), nonce, self.pieces)

    def blob(self, i):
        return self.piece(self.body(i), i, 0, len(self.body(i)) - 16, 0)

    def root(self):
        parts = b"root" + self.data[:self.tables["header"].size] + self.keys_body + \
            self.data[self.table_at:len(self.data) - self.tables["trailer"].size]
        parts += self.data[len(self.data) - self.tables["trailer"].size:][:72]
        return hashlib.blake2b(parts, key=self.hashes, digest_size=32).digest()

    def frames(self, i):
        """The frames' content, and whether the index has its hash."""
        base, size = self.entries[i]["offset"], self.entries[i]["size"]
        foot_at = base + size - self.tables["footer"].size
        foot = self.tables["footer"].read(self.data, foot_at)
        index = self.data[base + foot["frames_offset"]:foot_at + 96]
        mac = hashlib.blake2b(b"runs" + self.place(i) + index, key=self.hashes, digest_size=16).digest()
        out = []
        for n in range(foot["frames"]):
            f = self.tables["frame"].read(self.data, base + foot["frames_offset"] + n * self.tables["frame"].size)
            stored = self.data[base + f["offset"]:base + f["offset"] + f["stored_size"]]
            raw = self.piece(stored, i, n, f["raw_size"], f["codec"])
            out.append(raw if f["codec"] == 0 else unzstd(raw, f["raw_size"]))
        return out, mac == foot["mac"]


def check_encrypted(tap, tables, mkimage):
    sodium = Sodium()
    public, secret = sodium.keypair()
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([mkimage, f"{tmp}/image", f"{tmp}/parent", key_text(b"ckpt-public-1:", public)],
                       check=True)
        with open(f"{tmp}/image", "rb") as f:
            image = Sealed(tables, f.read(), sodium, public, secret)
        with open(f"{tmp}/parent", "rb") as f:
            parent = Sealed(tables, f.read(), sodium, public, secret)
    tap.check("an_encrypted_image_says_so", (image.head["incompat"], image.head["compat"],
              image.entries[0]["kind"], image.keys["recipients"], image.to) == (3, 0, 5, 1, public))
    tap.check("data_keys_are_told_apart",
              image.keys["key_id"] == derive(image.key, bytes(16), b"ckpt key id") and
              image.keys["parent_key_id"] == parent.keys["key_id"] and image.key != parent.key and
              parent.keys["parent_key_id"] == bytes(32))
    tap.check("the_trailer_is_under_the_key", image.root() == image.trail["mac"])
    tap.check("bodies_open", image.blob(1) == b"eleven byte" and image.blob(4) == b'{"pause_ns": 1}')
    frames, good = image.frames(2)
    tap.check("frames_open_and_the_index_is_under_the_key", good and image.frames(3)[1] and
              frames[0] == text_page(1) + text_page(2) and len(frames[1]) == PAGE)


def main():
    rst, mkimage = sys.argv[1:] or (f"{TOP}/docs/image-format.rst", f"{TOP}/build/unit/mkimage")
    tap = Tap()
    print("TAP version 13")
    with open(rst, encoding="utf-8") as f:
        tables = parse_tables(f.read())
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([mkimage, f"{tmp}/image", f"{tmp}/parent"], check=True)
        with open(f"{tmp}/image", "rb") as f:
            data = f.read()
        with open(f"{tmp}/parent", "rb") as f:
            parent = f.read()
    head, _, entries = check_file(tap, tables, data)
    tap.check("the_parent_is_named_by_id_and_digest",
              head["parent_id"] == tables["header"].read(parent, 0)["id"] and
              head["parent_digest"] == parent[-16:])
    tap.check("the_seed_of_digests_is_the_parents", head["digest_seed"] != 0 and
              head["digest_seed"] == tables["header"].read(parent, 0)["digest_seed"])
    tap.check("sections_are_those_written",
              [(e["kind"], e["owner"], e["sub"]) for e in entries] ==
              [(1, 4711, 0), (2, 4711, 0), (2, 4712, 0), (3, 0, 1)])
    body = entries[0]["offset"] + tables["section_header"].size
    tap.check("state_is_verbatim", data[body:body + entries[0]["body_size"]] == b"eleven byte")
    body = entries[3]["offset"] + tables["section_header"].size
    tap.check("meta_is_verbatim",
              data[body:body + entries[3]["body_size"]] == b'{"pause_ns": 1}')
    memory = check_pages(tap, tables, data, entries[1], head["digest_seed"])
    noise = memory.pop(0x40000, b"")
    want = {0x10000: text_page(1), 0x11000: text_page(2), 0x50000: "gone"}
    want |= {0x20000 + n * PAGE: bytes(PAGE) for n in range(3)}
    want |= {0x30000 + n * PAGE: ("file", 0x5000 + n * PAGE) for n in range(4)}
    tap.check("memory_is_what_was_written", memory == want and len(noise) == PAGE and
              len(set(noise)) > 200)
    tap.check("an_empty_address_space_is_empty",
              check_pages(tap, tables, data, entries[2], head["digest_seed"]) == {})
    check_encrypted(tap, tables, mkimage)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


sys.exit(main())
