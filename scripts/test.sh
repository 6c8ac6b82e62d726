#!/usr/bin/env bash
# Builds and tests everything: quick (build only), dev (all tests and lint), clang (build only), asan, tsan; then each
# fuzz target for a minute.
#
# A step that fails does not keep the others from running. The last line sums up: "N passed, N failed", where each
# test of each build counts, and each build that is only built counts as one.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=$(nproc)
passed=0
failed=0
failures=()

count_failure() {
    failed=$((failed + $1))
    failures+=("$2")
}

build() {
    local preset=$1
    echo "==== $preset: build"
    cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" -j "$jobs"
}

# Builds $1 and counts the build itself.
check_build() {
    if build "$1"; then passed=$((passed + 1)); else count_failure 1 "$1: build"; fi
}

# Builds $1, runs its tests and counts them.
check_tests() {
    local preset=$1 folder=build/$1 log of bad
    if ! build "$preset"; then
        count_failure 1 "$preset: build"
        return
    fi
    echo "==== $preset: test"
    log=$folder/test.log
    ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$jobs" 2>&1 | tee "$log"
    read -r bad of < <(sed -n 's/.*% tests passed, \([0-9]*\) tests failed out of \([0-9]*\).*/\1 \2/p' "$log") || true
    if [ -z "${of:-}" ]; then
        count_failure 1 "$preset: no tests were run"
        return
    fi
    passed=$((passed + of - bad))
    if [ "$bad" -gt 0 ]; then
        count_failure "$bad" "$preset:$(sed -n 's/^\t *[0-9]* - \([^ ]*\) (.*/ \1/p' "$log" | tr -d '\n')"
    fi
}

# Each fuzz target for a minute; all of them count as one.
check_fuzz() {
    echo "==== fuzz"
    if scripts/fuzz.sh 60; then passed=$((passed + 1)); else count_failure 1 "fuzz (see above)"; fi
}

check_build quick
check_tests dev
check_build clang
check_tests asan
check_tests tsan
check_fuzz

for failure in ${failures[@]+"${failures[@]}"}; do echo "failed: $failure"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
