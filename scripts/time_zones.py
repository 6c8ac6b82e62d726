#!/usr/bin/env python3
"""Writes examples/gateway/components/zone_table.h from the system's time zone database: time_zones.py > FILE

Of each zone only the rule for the time to come is kept (the last line of its TZif file, RFC 8536, section 3.3): a
component has no files, and the whole history is forty times as large.
"""
import collections
import os

ROOT = "/usr/share/zoneinfo"
HEAD = """// Names of time zones and the rules they follow now, made by scripts/time_zones.py from tzdata %s.
//
// One line a rule: its POSIX text (IEEE Std 1003.1, TZ), then the zones' names, each behind a blank.
#ifndef GATEWAY_ZONE_TABLE_H
#define GATEWAY_ZONE_TABLE_H

#define ZONE_TABLE_VERSION "%s"

// clang-format off
static const char zone_table[] ="""


def rules():
    found = collections.defaultdict(list)
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ("posix", "right")]
        for file in files:
            path = os.path.join(folder, file)
            with open(path, "rb") as opened:
                content = opened.read()
            name = os.path.relpath(path, ROOT)
            if content[:4] == b"TZif" and name not in ("localtime", "posixrules", "Factory"):
                found[content.rstrip(b"\n").rsplit(b"\n", 1)[1].decode()].append(name)
    return found


def lines(text, width):
    """The text as string literals; a literal is cut anywhere."""
    for at in range(0, len(text), width):
        yield '    "%s"' % text[at:at + width]


def main():
    with open(os.path.join(ROOT, "tzdata.zi"), encoding="ascii") as opened:
        version = opened.readline().split()[-1]
    print(HEAD % (version, version))
    for rule, names in sorted(rules().items()):
        whole = list(lines(" ".join([rule] + sorted(names)), 110))
        whole[-1] = whole[-1][:-1] + '\\n"'
        print("\n".join(whole))
    print("    ;\n// clang-format on\n\n#endif")


if __name__ == "__main__":
    main()
