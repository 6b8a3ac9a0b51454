#!/bin/sh
# Links all programs for the BSDs, where they cannot be run from here; or only
# type-checks them, if there is nothing to link with.

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

if ! find_std_source; then
    say "skipped: no Rust toolchain with the source of std (rustup component add rust-src," \
        "or on Debian: apt-get install rustc-web rust-web-src)"
    exit 0
fi
export RUSTFLAGS="${RUSTFLAGS-} -D warnings"
if find_zig; then
    for system in freebsd openbsd netbsd; do
        tests/static/build.sh $system
    done
    say "FreeBSD, OpenBSD, NetBSD: no error, no warning (linked, not run)"
    exit 0
fi
say "skipped: linking for the BSDs, as zig (Python's package ziglang) cannot be installed"
# All at once: the processors are better used than by one after the other.
cargo_with_std check --target x86_64-unknown-freebsd \
    --target x86_64-unknown-openbsd --target x86_64-unknown-netbsd
say "FreeBSD, OpenBSD, NetBSD: no error, no warning (checked, not run)"
