#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over every file that the build folder $1 compiles and that belongs to the tree.
# Two at a time; any finding is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:?build folder}

sed -n 's/^ *"file": "\(.*\)".*/\1/p' "$build/compile_commands.json" | grep -E "^$PWD/(src|sdk|tests|bench|examples)/" |
    sort -u | tr '\n' '\0' |
    xargs -0 -n 4 -P 2 clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
        --extra-arg=-Wno-unknown-warning-option 2> >(grep -v 'warnings\? generated' >&2)
