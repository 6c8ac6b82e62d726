#!/usr/bin/env bash
# Checks the promises about the executable $1: it needs glibc's own libraries only, exports nothing, has the usual
# hardening, and is at most 14 MiB stripped.
set -euo pipefail
executable=${1:?executable}
readonly stripped_bytes_max=$((14 << 20))
failed=0

fail() {
    echo "$executable: $*"
    failed=1
}

foreign=$(readelf -d "$executable" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vE '^(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[-a-z0-9_]*)\.so\.[0-9]+$' || true)
if [ -n "$foreign" ]; then fail "needs libraries that are not glibc's: $foreign"; fi

# What glibc itself takes from an executable (copied data and the like) is no interface of ours.
exported=$(nm -D --defined-only "$executable" |
    awk '$3 !~ /@/ && $3 !~ /^(_IO_stdin_used|stdin|stdout|stderr|environ|_?_?environ|optarg|optind|opterr|optopt)$/' || true)
if [ -n "$exported" ]; then fail "exports symbols: $exported"; fi

readelf -h "$executable" | grep -q 'Type: *DYN' || fail "is not position independent"
readelf -d "$executable" | grep -q 'BIND_NOW\|NOW' || fail "does not bind at start (-z now)"
readelf -lW "$executable" | grep -q 'GNU_RELRO' || fail "has no read-only relocations (-z relro)"
readelf -lW "$executable" | grep 'GNU_STACK' | grep -q 'RWE' && fail "has an executable stack"

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$executable"
bytes=$(stat -c %s "$stripped")
if [ "$bytes" -gt "$stripped_bytes_max" ]; then fail "has $bytes bytes stripped, more than $stripped_bytes_max"; fi
echo "$executable: $bytes bytes stripped"
exit "$failed"
