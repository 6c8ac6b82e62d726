#!/usr/bin/env bash
# Builds the fuzz targets (preset `fuzz`: clang, libFuzzer, sanitizers) and runs each for a while:
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]      60 seconds and all targets, if not given
#
# As many at once as there are processors. Each begins with a copy of its corpus; what it finds to be new is kept in build/fuzz/fuzz/TARGET.found and used the
# next time. Fails if a target crashes, leaks, takes more than 2 GiB or 20 seconds for an input, and names the input
# that does it: build/fuzz/fuzz/TARGET INPUT shows it again. Put it into the corpus once it is mended.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly seconds=${1:-60} folder=build/fuzz/fuzz
shift $(($# > 0 ? 1 : 0))
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz: expected a number of seconds, found $seconds" >&2; exit 64; }

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j"$(nproc)" >/dev/null
if [ $# -eq 0 ]; then
    for corpus in "$folder"/*.corpus; do
        set -- "$@" "$(basename "$corpus" .corpus)"
    done
fi

# The engine has signal handlers of its own; a leak of the fuzzer's own threads is none of ours.
export ASAN_OPTIONS=detect_leaks=1:allow_user_segv_handler=1:handle_sigill=0:handle_sigfpe=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

run_target() {
    local target=$1 log=$folder/$1.log
    mkdir -p "$folder/$target.found" "$folder/$target.crash"
    if "$folder/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
        -max_len=16384 -artifact_prefix="$folder/$target.crash/" -print_final_stats=1 -verbosity=0 \
        "$folder/$target.found" "$folder/$target.corpus" >"$log" 2>&1; then
        echo "fuzz: $target: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs in $seconds s, no fault"
        return 0
    fi
    echo "fuzz: $target FAILED; the input is $(awk '/Test unit written to/ { print $NF }' "$log"), the report $log" >&2
    grep -m 3 -E 'ERROR|SUMMARY|assertion failed' "$log" >&2 || tail -n 5 "$log" >&2
    return 1
}

export -f run_target
export seconds folder
printf '%s\n' "$@" | xargs -P "$(nproc)" -I TARGET bash -c 'run_target TARGET'
