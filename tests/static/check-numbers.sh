#!/bin/sh
# Compares the numbers and structures of src/sys with those of the libc crate,
# for every system that pen is for: see tests/numbers. Nothing is run.

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

check() {
    run_cargo check --quiet --locked --manifest-path tests/numbers/Cargo.toml \
        --target-dir "$OUT/numbers" "$@"
}

export RUSTFLAGS="${RUSTFLAGS-} -D warnings"
if ! find_std_source; then
    check
    say "this system alone: no difference; for the others Rust's source is missing" \
        "(rustup component add rust-src, or on Debian: apt-get install rustc-web rust-web-src)"
    exit 0
fi
export RUSTC_BOOTSTRAP=1
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf \
    x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf \
    mips-unknown-linux-musl x86_64-unknown-freebsd x86_64-unknown-openbsd \
    x86_64-unknown-netbsd; do
    check -Z build-std=core --target $target
    say "$target: no difference"
done
