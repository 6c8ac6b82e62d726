#!/usr/bin/env bash
# Prints the folder of the native libraries (engine archive, its headers, JSON source); builds them if needed.
#   scripts/native.sh [PROFILE [RUST_TARGET]]     quick (default) or release, see native/Cargo.toml; for this machine, or
#                                                 for e.g. aarch64-unknown-linux-gnu
#
# The folder is in a cache outside the checkout, so that a fresh clone on the same machine does not build them
# again: ${TORVYN_CACHE:-${XDG_CACHE_HOME:-~/.cache}/torvyn}/native/<key>. The key covers everything that decides
# the result: lock file, manifest, the crate's source, compiler, target and flags. A folder appears by rename when it is
# complete; one build at a time, the others wait for it. Progress goes to standard error.
set -euo pipefail

readonly layout=3 # raise it when flags or what install_result puts into the folder change
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
crate=$root/native
cache=${TORVYN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/torvyn}/native
profile=${1:-quick}
target=${2:-}
work=

say() { echo "native: $*" >&2; }

# Flags of our own also keep those of a user's cargo configuration out, which the key could not cover.
rust_flags() {
    echo "${RUSTFLAGS:-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates" \
        "--remap-path-prefix=$work/target=target --remap-path-prefix=$crate=native"
}

cache_key() {
    {
        echo "$layout $profile ${RUSTFLAGS:-}${target:+ $target}"
        cat "$crate"/{Cargo.lock,Cargo.toml,build.rs,src/lib.rs}
        (cd "$crate" && rustc -vV)
    } | sha256sum | cut -c1-20
}

# Shows how far cargo ($1: its process, $2: its log, $3: crates in all) is, until it ends.
show_progress() {
    local pid=$1 log=$2 total=$3 start=$SECONDS next=0 crates elapsed what
    while kill -0 "$pid" 2>/dev/null; do
        crates=$(grep -c '^ *Compiling ' "$log" || true)
        elapsed=$((SECONDS - start))
        what="crate $crates of $total"
        if [ "$crates" -ge "$total" ]; then what="finishing, after $total crates"; fi
        what="building the WebAssembly engine: $what, $((elapsed / 60)):$(printf %02d $((elapsed % 60)))"
        what+=" (once; two to six minutes on two cores)"
        if [ -t 2 ]; then
            printf '\r\033[Knative: %s' "$what" >&2
        elif [ "$elapsed" -ge "$next" ]; then
            say "$what"
            next=$((elapsed + 30))
        fi
        sleep 1
    done
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

build_crate() {
    local log=$work/build.log total pid
    say "building the WebAssembly engine ($profile) into $result"
    total=$(cargo tree --manifest-path "$crate/Cargo.toml" --locked --prefix none --edges normal,build 2>"$log" |
        awk '{ print $1, $2 }' | sort -u | wc -l) || { fail_with_log "$log"; }
    RUSTFLAGS=$(rust_flags) CARGO_TARGET_DIR=$work/target CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never \
        cargo build --manifest-path "$crate/Cargo.toml" --profile "$profile" --locked ${target:+--target "$target"} </dev/null >"$log" 2>&1 9>&- &
    pid=$!
    show_progress "$pid" "$log" "$total"
    wait "$pid" || fail_with_log "$log"
}

fail_with_log() {
    tail -n 25 "$1" >&2
    cp "$1" "$cache/failed.log"
    say "the build failed (the end of its output is above, all of it in $cache/failed.log)"
    say "it needs a connection to the crate registry, or what it takes from there in the local cargo cache"
    exit 1
}

# The crate's build script says where the engine's generated headers are.
install_result() {
    local from=$work/target/${target:+$target/}$profile to=$work/result include yyjson
    mkdir "$to"
    include=$(cat "$from"/build/torvyn-native-*/out/include-path.txt)
    cp -r "$include" "$to/include"
    yyjson=$(cargo metadata --manifest-path "$crate/Cargo.toml" --locked --format-version 1 |
        grep -o '"manifest_path":"[^"]*/yyjson-sys-[^"]*/Cargo.toml"' | cut -d'"' -f4)
    mkdir "$to/yyjson"
    cp "$(dirname "$yyjson")"/yyjson/src/yyjson.{c,h} "$(dirname "$yyjson")"/yyjson/LICENSE "$to/yyjson/"
    cp "$from/libtorvyn_native.a" "$to/"
    mv -T "$to" "$result"
}

cleanup() {
    local jobs
    jobs=$(jobs -p)
    if [ -n "$jobs" ]; then kill $jobs 2>/dev/null || true; fi
    if [ -n "$work" ]; then rm -rf "$work"; fi
}

case $profile in quick | release) ;; *) say "'$profile' is neither quick nor release"; exit 2 ;; esac
toolchain=$("$root/scripts/rust.sh") || {
    say "no Rust toolchain of version $(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$crate/Cargo.toml") or newer found"
    say "install Debian's packages rustc-web and cargo-web (scripts/bootstrap.sh does it), or use rustup"
    exit 1
}
PATH=$toolchain:$PATH
if [ -n "$target" ] && [ ! -d "$(rustc --print target-libdir --target "$target" 2>/dev/null)" ]; then
    say "the Rust toolchain in $toolchain has no standard library for $target"
    say "install it: \`rustup target add $target\`, or Debian's package libstd-rust-web-dev of that architecture"
    exit 1
fi
result=$cache/$(cache_key)
if [ ! -f "$result/libtorvyn_native.a" ]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -n 9 || { say "waiting for another build of the engine"; flock 9; }
    if [ ! -f "$result/libtorvyn_native.a" ]; then
        rm -rf "$cache"/build.* # left over from a killed build: we hold the lock
        trap cleanup EXIT
        work=$(mktemp -d "$cache/build.XXXXXX")
        build_crate
        install_result
        say "built the WebAssembly engine in $((SECONDS / 60)):$(printf %02d $((SECONDS % 60)))"
    fi
fi
echo "$result"
