#!/usr/bin/env bash
# Tries the README's two commands where nothing is installed: an empty Debian 12 with git and make alone, in a folder
# made by debootstrap and entered with chroot. Says how long each took. Needs root and a Debian mirror.
#
#   scripts/test_fresh.sh [COMMAND ...]     make targets to try (demo test), each in the same root, one after the other
#
# Variables: MIRROR, what debootstrap takes (by default the one of this machine's apt); WITH_RUST=1 uses this machine's
# Rust toolchain instead of Debian's packages; KEEP=1 leaves the root in place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "test-fresh: $*" >&2; }

[ "$(id -u)" -eq 0 ] || { say "needs root (debootstrap and chroot)"; exit 1; }
command -v debootstrap >/dev/null || { say "install the package debootstrap first"; exit 1; }
[ -z "$(git status --porcelain --untracked-files=no)" ] || say "uncommitted changes are not tried: this clones HEAD"

root=$(mktemp -d "${TMPDIR:-/tmp}/torvyn-fresh.XXXXXX")
mounted=()

cleanup() {
    local folder
    for folder in ${mounted[@]+"${mounted[@]}"}; do umount -l "$folder" || true; done
    if [ -n "${KEEP:-}" ]; then say "left in place: $root"; else rm -rf --one-file-system "$root"; fi
}
trap cleanup EXIT

bind() {
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    mounted=("$root$2" ${mounted[@]+"${mounted[@]}"})
}

# The mirror of this machine's apt, so that what apt reaches debootstrap reaches.
apt_mirror() {
    apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -v security | head -n 1
}

mirror=${MIRROR:-$(apt_mirror)}
say "an empty Debian 12 in $root"
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; say "debootstrap failed; its output is in $root.log"; exit 1; }
rm -f "$root.log"

# What this machine needs to reach its registries: names, proxies, certificates, package sources.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp -r /etc/apt/sources.list* /etc/apt/apt.conf.d /etc/apt/auth.conf* /etc/apt/keyrings "$root/etc/apt/" 2>/dev/null || true
for file in "$HOME/.cargo/config.toml" "$HOME/.cargo/config"; do
    if [ -f "$file" ]; then mkdir -p "$root/root/.cargo" && cp "$file" "$root/root/.cargo/"; fi
done
mount -t proc proc "$root/proc"
mounted=("$root/proc")
bind /dev /dev
git clone -q --bare . "$root/root/source.git"
if [ -n "${WITH_RUST:-}" ]; then
    bind "$(cd "$(scripts/rust.sh)" && rustc --print sysroot)" /opt/rust
    path=/opt/rust/bin:
fi

inside() {
    env -i HOME=/root PATH="${path:-}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        $(env | grep -E '^(https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|CARGO_[A-Z_]*)=' | grep -v '^CARGO_HOME=') \
        chroot "$root" /bin/sh -ec "$1" </dev/null
}

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
inside 'apt-get update -qq; apt-get install -y -qq --no-install-recommends git make' \
    >"$root/tmp/apt.log" 2>&1 || { tail -n 5 "$root/tmp/apt.log" >&2; say "git and make could not be installed"; exit 1; }
inside 'git clone -q /root/source.git /root/torvyn'

failed=0
[ "$#" -gt 0 ] || set -- demo test
for target; do
    say "make $target"
    begin=$SECONDS status=0
    inside "cd /root/torvyn && exec make $target" || status=$?
    elapsed="$(((SECONDS - begin) / 60)):$(printf %02d $(((SECONDS - begin) % 60)))"
    if [ "$status" -eq 0 ]; then say "make $target: passed in $elapsed"; else
        say "make $target: FAILED ($status) after $elapsed"
        failed=1
    fi
done
exit "$failed"
