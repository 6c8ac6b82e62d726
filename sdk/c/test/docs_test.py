"""Builds every C component shown in docs/components.md: blocks whose first line is `// file: NAME.c`.

Usage: docs_test.py BUILDER DOCUMENT
"""
import pathlib
import re
import subprocess
import sys
import tempfile

LEAST = 4


def main(builder: str, document: str) -> int:
    text = pathlib.Path(document).read_text(encoding="utf-8")
    blocks = re.findall(r"```c\n// file: (\S+\.c)\n(.*?)```", text, re.DOTALL)
    if len(blocks) < LEAST:
        print(f"only {len(blocks)} components found in {document}")
        return 1
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, source in blocks:
            pathlib.Path(folder, name).write_text(source, encoding="utf-8")
            result = subprocess.run([builder, "build", name], cwd=folder, capture_output=True, text=True, check=False)
            good = result.returncode == 0 and "warning" not in result.stderr
            print(("ok   " if good else "FAIL ") + name)
            if not good:
                print(result.stdout + result.stderr)
                failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
