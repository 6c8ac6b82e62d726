#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over every file that the build folder $1 compiles and that belongs to the tree.
# Two at a time; any finding is a failure. In tests the path-sensitive analyzer is off: it does not know that a failed
# assert_... ends the test. The analyzer's limit of nodes is lowered: parsers cost a minute each without it, and it has
# found nothing there beyond.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:?build folder}

files() {
    sed -n 's/^ *"file": "\(.*\)".*/\1/p' "$build/compile_commands.json" |
        grep -E "^$PWD/(src|sdk|tests|bench|examples)/" | sort -u
}

is_test='_test\.c$|/testing/|/tests/|/test/'

# Checks the files on standard input; further arguments are clang-tidy's.
tidy() {
    tr '\n' '\0' | xargs -0 -r -n 3 -P 2 clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
        --extra-arg=-Wno-unknown-warning-option "$@" 2> >(grep -vE 'warnings? generated|^Suppressed|^Use -header' >&2)
}

failed=0
files | grep -vE "$is_test" | grep -v '/src/base/status.c$' |
    tidy --extra-arg=-include --extra-arg="$PWD/scripts/tidy_model.h" \
        --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=30000 || failed=1
files | grep -E "$is_test|/src/base/status.c$" | tidy --checks='-clang-analyzer-*,-cert-env33-c' || failed=1
exit "$failed"
