"""Makes a component of any WebAssembly module: what the contract wants is appended, so that no index shifts.

Appended are two function types, the functions torvyn_abi_1, tv_arena and tv_process, a memory where there is none, and
the exports of all these. What cannot be read as sections is left as it is.
"""

TYPE, IMPORT, FUNCTION, MEMORY, EXPORT, CODE, DATA_COUNT = 1, 2, 3, 5, 7, 10, 12
ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11]
KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL = range(4)


class Malformed(Exception):
    """The bytes are no sequence of sections, or one that matters here cannot be read."""


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        return self.take(1)[0]

    def take(self, count):
        if self.at + count > len(self.data):
            raise Malformed
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise Malformed

    def name(self):
        return self.take(self.number())

    def limits(self):
        flags = self.byte()
        self.number()
        if flags & 1:
            self.number()


def number(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def read_sections(module):
    if module[:8] != b"\0asm\x01\0\0\0":
        raise Malformed
    reader, sections = Reader(module[8:]), []
    while reader.at < len(reader.data):
        kind = reader.byte()
        sections.append((kind, reader.take(reader.number())))
    return sections


def count_imports(body):
    """Functions and memories that are imported."""
    reader, functions, memories = Reader(body), 0, 0
    for _ in range(reader.number()):
        reader.name(), reader.name()
        kind = reader.byte()
        if kind == KIND_FUNCTION:
            reader.number()
        elif kind == KIND_TABLE:
            reader.byte(), reader.limits()
        elif kind == KIND_MEMORY:
            reader.limits()
        elif kind == KIND_GLOBAL:
            reader.take(2)
        else:
            raise Malformed
        functions, memories = functions + (kind == KIND_FUNCTION), memories + (kind == KIND_MEMORY)
    return functions, memories


def export_names(body):
    reader, names = Reader(body), set()
    for _ in range(reader.number()):
        names.add(reader.name())
        reader.byte(), reader.number()
    return names


def count_of(body):
    return Reader(body).number() if body is not None else 0


def appended(body, items):
    """The vector `body`, or an empty one, with more items."""
    reader = Reader(body if body is not None else b"\0")
    count = reader.number()
    return number(count + len(items)) + reader.data[reader.at:] + b"".join(items)


def export(name, kind, index):
    return number(len(name)) + name + bytes([kind]) + number(index)


def additions(body_of):
    """What is appended, by section."""
    types = count_of(body_of.get(TYPE))
    imported, imported_memories = count_imports(body_of[IMPORT]) if IMPORT in body_of else (0, 0)
    first = imported + count_of(body_of.get(FUNCTION))
    there = export_names(body_of[EXPORT]) if EXPORT in body_of else set()
    wanted = [(b"torvyn_abi_1", KIND_FUNCTION, first), (b"tv_arena", KIND_FUNCTION, first + 1),
              (b"tv_process", KIND_FUNCTION, first + 2), (b"memory", KIND_MEMORY, 0)]
    more = {TYPE: [b"\x60\0\0", b"\x60\1\x7f\1\x7f"],
            FUNCTION: [number(types), number(types + 1), number(types + 1)],
            EXPORT: [export(*item) for item in wanted if item[0] not in there],
            CODE: [b"\2\0\x0b", b"\4\0\x41\0\x0b", b"\4\0\x41\0\x0b"]}
    if count_of(body_of.get(MEMORY)) + imported_memories == 0:
        more[MEMORY] = [b"\0\1"]
    return more


def component_of(module):
    """The module as a component, or as it is if it cannot be read."""
    try:
        sections = read_sections(module)
        body_of = dict(reversed(sections))  # the first of each kind
        more = additions(body_of)
        out, done = [], set()
        for kind, body in sections:
            for missing in [k for k in ORDER[:ORDER.index(kind)] if k in more] if kind in ORDER else []:
                if missing not in body_of and missing not in done:
                    out.append((missing, appended(None, more[missing])))
                    done.add(missing)
            if kind in more and kind not in done:
                body = appended(body, more[kind])
                done.add(kind)
            out.append((kind, body))
        out += [(kind, appended(None, more[kind])) for kind in ORDER if kind in more and kind not in done]
    except Malformed:
        return module
    return module[:8] + b"".join(bytes([kind]) + number(len(body)) + body for kind, body in out)
