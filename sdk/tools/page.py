#!/usr/bin/env python3
"""Prints docs/sdk.md: every function, macro and type of the C SDK that authors use, with the comments of the headers.

Usage: page.py HEADERS          prints the page
       page.py HEADERS PAGE     exit code 1 if PAGE is another one
"""
import pathlib
import re
import sys

PARTS = [("torvyn.h", "Component, emitting, configuration, host"), ("record.h", "Records and attributes"),
         ("text.h", "Text, numbers, times, hashing"), ("json.h", "JSON")]
HEAD = """# The C SDK on one page

Everything that `#include <torvyn/torvyn.h>` offers, as the headers have it; how it is used is in
[components.md](components.md). Written by `python3 sdk/tools/page.py sdk/c/include/torvyn > docs/sdk.md`; a test holds
it against the headers.
"""
ATTRIBUTE = re.compile(r"\s*__attribute__\(\([^()]*(\([^()]*\))*[^()]*\)\)")


def body_of(text):
    """What stands between the include guard and its end, without includes and conditional parts."""
    lines, depth = [], 0
    for line in text.split("\n"):
        if re.match(r"#\s*if", line):
            depth += 1
        elif re.match(r"#\s*endif", line):
            depth -= 1
        elif depth <= 1 and not re.match(r"#\s*(include|else|undef|pragma)", line):
            lines.append(line)
    guard = next(i for i, line in enumerate(lines) if re.match(r"#define TORVYN_\w+_H$", line))
    return lines[guard + 1:]


def skip_body(lines, at):
    """From the line with the '{' on to the line behind its end."""
    if lines[at].rstrip().endswith("}"):
        return at + 1
    while lines[at] != "}":
        at += 1
    return at + 1


def read_macro(lines, at):
    name = re.match(r"#define (\w+(\([^)]*\))?)", lines[at]).group(0)
    value = lines[at][len(name):].strip()
    while lines[at].endswith("\\"):
        at += 1
        value = ""
    return (f"{name} {value}".rstrip() if "(" not in name else name), at + 1


def read_type(lines, at):
    taken = [lines[at]]
    while not re.match(r"^.*}\s*\w*;.*$|^[^{]*;.*$", lines[at]) or (len(taken) > 1 and lines[at].startswith(" ")):
        at += 1
        taken.append(lines[at])
        if lines[at].startswith("}"):
            break
    return "\n".join(taken), at + 1


def read_function(lines, at):
    text = lines[at]
    while ";" not in text and "{" not in text:
        at += 1
        text += " " + lines[at].strip()
    note = re.search(r";\s*(//.*)$", text)
    signature = ATTRIBUTE.sub("", re.split(r"[;{]", text)[0]).replace("static inline ", "").strip()
    following = skip_body(lines, at) if "{" in text and ";" not in text.split("{")[0] else at + 1
    return f"{signature};" + (f" {note.group(1)}" if note else ""), following


def name_of(text):
    found = re.search(r"(\w+)\(", text) or re.search(r"(\w+);$", text)
    return found.group(1) if found else text


def entries(lines):
    """Pieces of the page: ("section", name), ("code", text)."""
    at, seen = 0, set()
    while at < len(lines):
        line = lines[at]
        section = re.match(r"// -+ (.*?) -+$", line)
        if section:
            yield "section", section.group(1)
            at += 1
        elif line.startswith("//") or not line.strip():
            yield "code", line
            at += 1
        elif line.startswith("#define"):
            text, at = read_macro(lines, at)
            if "TV_SDK_" not in text:
                yield "code", text
        elif re.match(r"(typedef (struct|enum)|enum) ?\w* ?\{", line):
            text, at = read_type(lines, at)
            yield "code", text
        elif re.match(r"[a-z]\w+[ *]", line) and not line.startswith("_Static"):
            text, at = read_function(lines, at)
            if name_of(text) not in seen:
                yield "code", text
            seen.add(name_of(text))
        else:
            at += 1


def print_block(block):
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(block)).strip()
    return f"\n```c\n{text}\n```\n" if text else ""


def part(title, text):
    page, block = f"\n## {title}\n", []
    for kind, value in entries(body_of(text)):
        if kind == "section":
            page += print_block(block) + f"\n### {value[0].upper()}{value[1:]}\n"
            block = []
        else:
            block.append(value)
    return page + print_block(block)


def main(arguments):
    folder = pathlib.Path(arguments[0])
    page = HEAD
    for name, title in PARTS:
        page += part(title, (folder / name).read_text(encoding="utf-8"))
    if len(arguments) < 2:
        print(page, end="")
        return 0
    if pathlib.Path(arguments[1]).read_text(encoding="utf-8") == page:
        return 0
    print(f"{arguments[1]} is not what the headers say; write it again:\n"
          f"python3 sdk/tools/page.py {arguments[0]} > {arguments[1]}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
