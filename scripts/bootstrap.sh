#!/usr/bin/env bash
# Installs what a make target needs and this machine lacks: scripts/bootstrap.sh build|guests|demo|test ...
#
# With root or password-less sudo it installs Debian packages; otherwise it prints which ones to install and fails.
# Each line of the table says what needs a package and how to see that it is there: a command, a header that the C
# compiler finds, or a file. What is there in another way than by the package is good too.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# target  package                     probe
readonly table='
build     build-essential             command cc c++ ld
build     ca-certificates             file /etc/ssl/certs/ca-certificates.crt
build     cmake                       command cmake
build     ninja-build                 command ninja
build     libuv1-dev                  header uv.h
build     libyaml-dev                 header yaml.h
build     libmd-dev                   header sha2.h
build     libxxhash-dev               header xxhash.h
build     libncurses-dev              header ncurses.h
build     rustc-web                   rust
build     cargo-web                   rust
guests    clang                       command clang
guests    lld                         command wasm-ld
guests    wasi-libc                   file /usr/lib/wasm32-wasi/libc.a
guests    libclang-rt-14-dev-wasm32   file /usr/lib/llvm-14/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a
demo      python3                     command python3
test      libclang-rt-14-dev          file /usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
test      clang-format                command clang-format
test      clang-tidy                  command clang-tidy
test      libcmocka-dev               header cmocka.h
test      python3                     command python3
test      wabt                        command wat2wasm
'

say() { echo "bootstrap: $*" >&2; }

# Whether the probe ($1: its kind, then its arguments) finds what it looks for.
is_there() {
    local kind=$1 item
    shift
    case $kind in
    command) for item; do command -v "$item" >/dev/null || return 1; done ;;
    header) echo '#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <'"$1"'>' | cc -fsyntax-only -x c - 2>/dev/null ;;
    file) for item; do compgen -G "$item" >/dev/null || return 1; done ;;
    rust) "$root/scripts/rust.sh" >/dev/null ;;
    esac
}

# Sets `missing` to the packages that the targets ($@) need and that are not there.
find_missing() {
    local target package probe
    missing=()
    while read -r target package probe; do
        if [ -z "$target" ] || [[ " $* " != *" $target "* ]]; then continue; fi
        set -f
        # shellcheck disable=SC2086 # the probe's arguments are words
        is_there $probe || missing+=("$package")
        set +f
    done <<<"$table"
}

refuse() {
    say "$1"
    say "install them with:  sudo apt-get update && sudo apt-get install ${missing[*]}"
    exit 1
}

install_missing() {
    local as_root=()
    command -v apt-get >/dev/null ||
        refuse "these Debian packages, or what corresponds to them here, are missing: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
            refuse "these packages are missing, and installing them needs root: ${missing[*]}"
        as_root=(sudo -n)
    fi
    local log
    log=$(mktemp)
    say "installing ${missing[*]} (about a minute)"
    "${as_root[@]}" apt-get update -qq >"$log" 2>&1 </dev/null ||
        say "the package lists could not be updated; going on with what is there: $(tail -n 1 "$log")"
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove \
        "${missing[@]}" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        refuse "installing failed (see above): ${missing[*]}"
    fi
    rm -f "$log"
}

find_missing "$@"
if [ "${#missing[@]}" -gt 0 ]; then
    install_missing
    find_missing "$@"
    if [ "${#missing[@]}" -gt 0 ]; then refuse "still missing, or too old, after installing: ${missing[*]}"; fi
fi
