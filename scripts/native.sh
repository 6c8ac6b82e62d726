#!/usr/bin/env bash
# Prints the folder of the native libraries (engine archive, its headers, JSON source); builds them if needed.
#
# The folder is in a cache outside the checkout, so that a fresh clone on the same machine does not build them
# again: ${TORVYN_CACHE:-${XDG_CACHE_HOME:-~/.cache}/torvyn}/native/<key>. The key covers everything that decides
# the result: lock file, manifest, the crate's source, compiler and flags. A folder appears by rename when it is
# complete; one build at a time, the others wait for it.
set -euo pipefail

layout=1 # raise it when what install_result puts into the folder changes
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
crate=$root/native
cache=${TORVYN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/torvyn}/native

key=$( { echo "$layout"; cat "$crate"/{Cargo.lock,Cargo.toml,build.rs,src/lib.rs}; rustc -vV; echo "${RUSTFLAGS:-}"; } |
    sha256sum | cut -c1-20)
result=$cache/$key
if [ -f "$result/libtorvyn_native.a" ]; then
    echo "$result"
    exit 0
fi
echo "native.sh: $result is missing" >&2
exit 1
