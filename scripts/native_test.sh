#!/usr/bin/env bash
# Tests of rust.sh and native.sh with a toolchain and a crate that only pretend: what decides the key, that a finished
# build is used again, that a failed one leaves nothing behind, that two at a time make one build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

expect() {
    local what=$1
    shift
    if "$@"; then echo "ok: $what"; else echo "FAILED: $what"; failed=1; fi
}

# A checkout with a crate of two files, and a toolchain: rustc of version $2 in folder $1.
make_toolchain() {
    mkdir -p "$1"
    printf '#!/bin/sh\nif [ "$1" = --print ]; then echo "$FAKE/rustlib/$4"; else echo "rustc %s (x)"; fi\n' "$2" >"$1/rustc"
    cat >"$1/cargo" <<'CARGO'
#!/usr/bin/env bash
set -euo pipefail
case $1 in
tree) printf 'a v1\nb v1\n' ;;
metadata) echo "{\"packages\":[{\"manifest_path\":\"$FAKE/yyjson-sys-0.1.0/Cargo.toml\"}]}" ;;
build)
    echo built >>"$FAKE/builds"
    echo '   Compiling a v1'
    if [ -n "${FAKE_FAIL:-}" ]; then echo 'error: no such thing'; exit 101; fi
    sleep 0.2
    folder=$CARGO_TARGET_DIR
    case $* in *--target*) folder=$CARGO_TARGET_DIR/$(echo "$*" | sed 's/.*--target //') ;; esac
    release=$folder/$(echo "$*" | sed 's/.*--profile \([a-z]*\).*/\1/')
    out=$release/build/torvyn-native-1/out
    mkdir -p "$out" "$FAKE/include/wasmtime"
    echo -n "$FAKE/include" >"$out/include-path.txt"
    echo archive >"$release/libtorvyn_native.a"
    ;;
esac
CARGO
    chmod +x "$1/rustc" "$1/cargo"
}

export FAKE=$folder/fake TORVYN_CACHE=$folder/cache HOME=$folder/home CARGO_HOME=$folder/home/.cargo
mkdir -p "$folder/tree/scripts" "$folder/tree/native/src" "$FAKE/yyjson-sys-0.1.0/yyjson/src" "$HOME"
cp "$here/native.sh" "$here/rust.sh" "$folder/tree/scripts/"
printf 'rust-version = "1.95"\n' >"$folder/tree/native/Cargo.toml"
touch "$folder/tree/native/"{Cargo.lock,build.rs,src/lib.rs} "$FAKE/yyjson-sys-0.1.0/yyjson/"{LICENSE,src/yyjson.c,src/yyjson.h}
make_toolchain "$folder/old" 1.94.1
make_toolchain "$folder/new" 1.100.0
native=$folder/tree/scripts/native.sh
system=$PATH

builds() { wc -l <"$FAKE/builds"; }
leftovers() { find "$TORVYN_CACHE/native" -maxdepth 1 -name 'build.*' | wc -l; }

PATH=$folder/old:$folder/new:$system
expect "an old toolchain in front is passed over" [ "$("$folder/tree/scripts/rust.sh")" = "$folder/new" ]

first=$("$native" 2>/dev/null)
expect "the result is complete" [ -f "$first/libtorvyn_native.a" -a -f "$first/yyjson/yyjson.c" -a -d "$first/include/wasmtime" ]
expect "nothing is left over from a build" [ "$(leftovers)" = 0 ]
expect "a finished build is used again" [ "$("$native" 2>/dev/null)" = "$first" -a "$(builds)" = 1 ]

echo "changed" >"$folder/tree/native/Cargo.lock"
expect "another lock file is another key" [ "$("$native" 2>/dev/null)" != "$first" ]
expect "other flags are another key" [ "$(RUSTFLAGS=-Cx "$native" 2>/dev/null)" != "$first" ]
: >"$folder/tree/native/Cargo.lock"
make_toolchain "$folder/new" 1.101.0
expect "another compiler is another key" [ "$("$native" 2>/dev/null)" != "$first" ]
expect "each key is built once" [ "$(builds)" = 4 ]

status=0
"$native" quick foreign >"$folder/one" 2>"$folder/errors" || status=$?
expect "a target whose standard library is missing is refused" [ "$status" -ne 0 -a ! -s "$folder/one" ]
expect "and what would provide it is said" grep -q 'rustup target add foreign' "$folder/errors"
mkdir -p "$FAKE/rustlib/foreign"
foreign=$("$native" quick foreign 2>/dev/null)
expect "another target is another key" [ "$foreign" != "$("$native" 2>/dev/null)" -a -f "$foreign/libtorvyn_native.a" ]
expect "a build for another target is used again" [ "$("$native" quick foreign 2>/dev/null)" = "$foreign" -a "$(builds)" = 5 ]

release=$("$native" release 2>/dev/null)
expect "another profile is another key" [ "$release" != "$("$native" 2>/dev/null)" -a -f "$release/libtorvyn_native.a" ]
status=0
"$native" slow >"$folder/one" 2>/dev/null || status=$?
expect "an unknown profile is refused" [ "$status" -ne 0 -a ! -s "$folder/one" ]

echo "two at a time" >"$folder/tree/native/build.rs"
"$native" >"$folder/one" 2>/dev/null & one=$!
"$native" >"$folder/two" 2>/dev/null & two=$!
wait "$one" "$two"
expect "two at a time give the same folder" cmp -s "$folder/one" "$folder/two"
expect "two at a time build once" [ "$(builds)" = 7 ]

echo "fails" >"$folder/tree/native/build.rs"
status=0
FAKE_FAIL=1 "$native" >"$folder/one" 2>"$folder/errors" || status=$?
expect "a failed build fails" [ "$status" -ne 0 -a ! -s "$folder/one" ]
expect "a failed build shows the compiler's words" grep -q 'no such thing' "$folder/errors"
expect "a failed build leaves nothing behind" [ "$(leftovers)" = 0 ]
mkdir "$TORVYN_CACHE/native/build.killed"
expect "after a failed build the next one works" [ -f "$("$native" 2>/dev/null)/libtorvyn_native.a" ]
expect "what a killed build left is removed" [ "$(leftovers)" = 0 ]
exit "$failed"
