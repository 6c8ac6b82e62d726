#!/usr/bin/env bash
# Prints the folder of a cargo and rustc new enough to build native/ (its rust-version), or fails without a word.
# Looks along PATH, then where rustup and Debian put them, so that an old toolchain in front does no harm.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/native/Cargo.toml")

is_new_enough() {
    local version
    [ -x "$1/cargo" ] && [ -x "$1/rustc" ] || return 1
    version=$(cd "$root/native" && "$1/rustc" --version 2>/dev/null | awk '{ print $2 }') || return 1
    [ -n "$version" ] && [ "$(printf '%s\n%s\n' "$least" "$version" | sort -V | head -n 1)" = "$least" ]
}

IFS=: read -r -a folders <<<"$PATH"
for folder in "${folders[@]}" "${CARGO_HOME:-$HOME/.cargo}/bin" /usr/bin; do
    if [ -n "$folder" ] && is_new_enough "$folder"; then
        echo "$folder"
        exit 0
    fi
done
exit 1
