#!/bin/sh
# Type-checks everything for the BSDs, where it cannot be run from here.

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

if ! find_std_source; then
    say "skipped: no Rust toolchain with the source of std (rustup component add rust-src," \
        "or on Debian: apt-get install rustc-web rust-web-src)"
    exit 0
fi
export RUSTFLAGS="${RUSTFLAGS-} -D warnings"
# All at once: the processors are better used than by one after the other.
cargo_with_std check --target x86_64-unknown-freebsd \
    --target x86_64-unknown-openbsd --target x86_64-unknown-netbsd
say "FreeBSD, OpenBSD, NetBSD: no error, no warning (checked, not run)"
