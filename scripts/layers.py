#!/usr/bin/env python3
"""Checks who includes whom. Exit code 1 and one line per violation if a rule is broken.

Each module sees only the modules listed for it, and of them only the public headers; third-party headers stay in
the modules listed for them; <...> includes are those of libc and Linux; each header compiles alone. The rules are
data at the top of this file. Sources outside src/ (sdk, examples, tests, bench) are checked for third-party headers.

Usage: layers.py [--compile COMPILER FLAG...] [ROOT]
"""
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# Module -> modules below it that it may include. Order: lowest first. A module may always include itself.
MODULES = {
    "base": [],
    "base/testing": [],
    "wasm": ["base"],
    "flow": ["base", "wasm"],
    "connect/framing": ["base", "flow"],
    "connect/testing": ["base", "flow"],
    "connect/file": ["base", "flow", "connect/framing"],
    "connect/stdio": ["base", "flow", "connect/framing"],
    "connect/generator": ["base", "flow", "connect/framing"],
    "pipeline": ["base", "flow"],
    "control": ["base"],
    "host": ["base", "wasm", "flow", "connect/file", "connect/stdio", "connect/generator", "pipeline", "control"],
    "cli": ["base", "wasm", "flow", "connect/file", "connect/stdio", "connect/generator", "pipeline", "control", "host"],
}

# Modules that only tests may include, in addition to what their module may; they themselves count as tests.
TEST_SUPPORT = ["base/testing", "connect/testing"]

# Headers of a module that others may include; default: <module>/<last part>.h. None: every header.
PUBLIC = {
    "base": None,
    "base/testing": None,
    "flow": ["flow/flow.h", "flow/channel.h"],
    "connect/testing": None,
}
# What a connector sees of flow.
NARROWED = {("connect/", "flow"): ["flow/channel.h"]}

# The contract's header is what host and components share; the rest of the SDK is for components.
CONTRACT = "torvyn/abi.h"

# Third-party header (pattern) -> modules and folders that may include it.
THIRD_PARTY = [
    (r"(wasm|wasi|wasmtime)\.h|wasmtime/.*\.h", ["wasm"]),
    (r"uv\.h", ["connect/", "control", "host"]),
    (r"yaml\.h", ["pipeline"]),
    (r"yyjson\.h", ["base", "wasm", "flow", "pipeline", "control", "host", "cli", "sdk", "examples", "tests", "bench"]),
    (r"(md5|sha1|sha2|sha256|sha512)\.h", ["wasm", "host"]),
    (r"xxhash\.h", ["wasm"]),
    (r"(ncurses|term)\.h", ["cli"]),
]
TEST_ONLY = r"cmocka\.h"

# Ways to print that let foreign bytes through, and where they may stand in src/ all the same.
PRINTING = [
    (r"(?<![a-z_])v?f?printf\s*\([^;]*?%[-+ #0-9.*]*[sc]", "prints foreign text as it is: tv_print (base/show.h)",
     ["base/assert.c", "cli/args.c", "cli/verb_help.c", "cli/verb_connectors.c", "cli/verb_version.c",
      "pipeline/reference.c", "pipeline/schema.c"]),  # what they print is ours
    (r"yyjson_(mut_)?(val_)?write[a-z_]*\s*\(", "is for tv_json_write (base/json.h), whose text is always UTF-8",
     ["base/json.c", "cli/control.c", "host/control_order.c", "pipeline/config.c", "pipeline/schema.c"]),  # not for a reader outside
]

SYSTEM = set(
    """
    aio.h assert.h byteswap.h cpuid.h ctype.h dirent.h dlfcn.h elf.h endian.h errno.h fcntl.h fenv.h float.h fnmatch.h ftw.h getopt.h
    glob.h grp.h inttypes.h iso646.h libgen.h limits.h link.h locale.h malloc.h math.h memory.h poll.h pthread.h pwd.h
    regex.h sched.h semaphore.h setjmp.h signal.h spawn.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h
    stdio.h stdlib.h stdnoreturn.h string.h strings.h syscall.h syslog.h termios.h threads.h time.h ucontext.h uchar.h
    unistd.h wchar.h wctype.h
    """.split()
)
SYSTEM_FOLDERS = r"(sys|linux|asm|arpa|net|netinet|sanitizer)/[a-z0-9_/]+\.h"
VECTOR_HEADERS = r"(x86|imm|emm|smm|tmm|nmm|wasm_simd128|arm_neon)[a-z0-9_]*\.h|wasm_simd128\.h|arm_neon\.h"

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def module_of(path):
    """The module of a path below src/ ("connect/file/file.c" -> "connect/file"), or None."""
    for module in sorted(MODULES, key=len, reverse=True):
        if path.startswith(module + "/"):
            return module
    return None


def is_public(module, header):
    if module in PUBLIC:
        return PUBLIC[module] is None or header in PUBLIC[module]
    return header == f"{module}/{module.split('/')[-1]}.h"


def check_own_include(module, header, is_test, exists):
    """What is wrong with module's #include "header", or None."""
    if header.startswith("torvyn/"):
        return None if header == CONTRACT else f"{header} is for components; the host sees {CONTRACT} only"
    target = module_of(header)
    if target is None or not exists(header):
        return f'"{header}" is no header of this tree (write it as "module/header.h")'
    if target == module or (is_test and target in TEST_SUPPORT):
        return None
    if is_test and module in TEST_SUPPORT:
        return None if target in MODULES[module] else f"{module} must not include {header}"
    if target not in MODULES[module]:
        return f"{module} must not include {header}: it may see {', '.join(MODULES[module]) or 'no other module'}"
    for (prefix, narrowed), allowed in NARROWED.items():
        if module.startswith(prefix) and target == narrowed and header not in allowed:
            return f"{module} must not include {header}: of {narrowed} it may see {', '.join(allowed)}"
    if not is_public(target, header):
        return f"{module} must not include {header}: it is internal to {target}"
    return None


def check_system_include(place, header, is_test):
    """What is wrong with #include <header> at place (module, or top folder outside src/), or None."""
    if header in SYSTEM or re.fullmatch(SYSTEM_FOLDERS, header) or re.fullmatch(VECTOR_HEADERS, header):
        return None
    if re.fullmatch(TEST_ONLY, header):
        return None if is_test else f"<{header}> is for tests (*_test.c, tests/) only"
    for pattern, allowed in THIRD_PARTY:
        if re.fullmatch(pattern, header):
            if any(place == a or (a.endswith("/") and place.startswith(a)) for a in allowed):
                return None
            return f"{place} must not include <{header}>: it stays in {', '.join(allowed)}"
    return f"<{header}> is neither a header of libc nor a third-party header known to the layer check"


def sources(root):
    for top in ("src", "sdk", "examples", "tests", "bench"):
        for path in sorted((root / top).rglob("*.[ch]")):
            yield path.relative_to(root)


def check_file(root, path):
    parts = path.parts
    inside = "/".join(parts[1:]) if parts[0] == "src" else None
    module = module_of(inside) if inside else None
    if inside and module is None:
        yield 1, "this folder is no module known to the layer check (add it to MODULES)"
        return
    is_test = "test" in path.stem.split("_") or bool({"tests", "testing"} & set(parts))
    text = (root / path).read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        own, system = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        problem = None
        is_third_party = own and any(re.fullmatch(pattern, own) for pattern, _ in THIRD_PARTY)
        if system or is_third_party:
            if module is None and system and system.startswith("torvyn/"):
                continue  # the SDK, seen by components
            problem = check_system_include(module or parts[0], system or own, is_test)
        elif module:
            problem = check_own_include(module, own, is_test, lambda header: (root / "src" / header).is_file())
        if problem:
            yield line, problem
    if module and not is_test:
        yield from check_printing(inside, text)


def check_printing(inside, text):
    for pattern, problem, allowed in PRINTING:
        for match in re.finditer(pattern, text) if inside not in allowed else ():
            yield text.count("\n", 0, match.start()) + 1, f"{match.group().split('(')[0].strip()} {problem}"


def compile_alone(root, path, compiler, flags):
    command = [compiler, "-std=c17", "-fsyntax-only", "-Wall", "-Wextra", "-D_GNU_SOURCE=", f"-I{root}/src",
               f"-I{root}/sdk/c/include", *flags, "-x", "c", "-"]
    result = subprocess.run(command, input=f'#include "{root / path}"\n', capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else f"does not compile alone:\n{result.stderr.strip()}"


def headers(root):
    """Headers of the host and the contract; the SDK's others need a component around them."""
    for path in sources(root):
        if path.suffix == ".h" and (path.parts[0] == "src" or path.name == "abi.h"):
            yield path


def main(arguments):
    compiler, flags = None, []
    if "--compile" in arguments:
        at = arguments.index("--compile")
        compiler, flags = arguments[at + 1], [f for f in arguments[at + 2:] if f.startswith("-")]
        arguments = arguments[:at] + [a for a in arguments[at + 2:] if not a.startswith("-")]
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    violations = []
    files = list(sources(root))
    for path in files:
        violations += [f"{path}:{line}: {problem}" for line, problem in check_file(root, path)]
    if compiler:
        with ThreadPoolExecutor(2) as pool:
            checked = list(headers(root))
            for path, problem in zip(checked, pool.map(lambda p: compile_alone(root, p, compiler, flags), checked)):
                if problem:
                    violations.append(f"{path}: {problem}")
    for violation in violations:
        print(violation)
    print(f"{len(files)} files, {len(violations)} violations")
    return 1 if violations or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
