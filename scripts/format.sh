#!/usr/bin/env bash
# Checks the formatting of all C files of the tree by .clang-format; with --fix it formats them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(--dry-run --Werror)
if [ "${1:-}" = --fix ]; then mode=(-i); fi
find src sdk examples tests bench \( -name '*.c' -o -name '*.h' \) -print0 2>/dev/null |
    xargs -0 -r -n 32 -P 2 clang-format "${mode[@]}"
