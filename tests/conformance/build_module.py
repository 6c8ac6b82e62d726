#!/usr/bin/env python3
"""Makes a module of the conformance suite: build_module.py WAT2WASM IN.wat OUT.wasm

The text goes through wat2wasm. Two directives at the top of the file do what the text format cannot:
`;;! custom SECTION TEXT` appends a custom section, `;;! bytes HEX` replaces the whole module (`-`: no bytes).
"""
import codecs
import pathlib
import subprocess
import sys


def leb128(value):
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def custom_section(name, text):
    content = leb128(len(name)) + name.encode() + codecs.decode(text, "unicode_escape").encode("latin-1")
    return b"\0" + leb128(len(content)) + content


def main(wat2wasm, source, target):
    text = pathlib.Path(source).read_text(encoding="utf-8")
    directives = [line[4:].split(" ", 2) for line in text.splitlines() if line.startswith(";;! ")]
    for directive in directives:
        if directive[0] == "bytes":
            digits = "".join(directive[1:])
            pathlib.Path(target).write_bytes(b"" if digits == "-" else bytes.fromhex(digits))
            return 0
    scratch = target + ".part"
    done = subprocess.run([wat2wasm, "--enable-all", "--debug-names", source, "-o", scratch], check=False)
    if done.returncode != 0:
        return done.returncode
    sections = [custom_section(*directive[1:]) for directive in directives if directive[0] == "custom"]
    with open(scratch, "ab") as module:
        module.write(b"".join(sections))
    pathlib.Path(scratch).replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
