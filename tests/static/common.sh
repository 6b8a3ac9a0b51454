# Sourced by the scripts beside it: where cargo's things are, and which Rust
# toolchain can build the standard library itself.
# shellcheck shell=sh

cd "$(dirname "$0")/../.." || exit
mkdir -p "${CARGO_TARGET_DIR:-target}"
# shellcheck disable=SC2034 # for those who source this
OUT=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
tools=$OUT/static/tools
ZIG_VERSION=0.17.1

say() { echo "${0##*/}: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

# cargo, or what make was told to take for it.
run_cargo() {
    # shellcheck disable=SC2086 # can be several words
    ${CARGO:-cargo} "$@"
}

# A processor's or a system's name in Rust's words.
triple() {
    case $1 in
        x86-64 | x86_64 | amd64) echo x86_64-unknown-linux-musl ;;
        arm64-gnu) echo aarch64-unknown-linux-gnu ;;
        arm64 | aarch64) echo aarch64-unknown-linux-musl ;;
        armv7 | armv7l) echo armv7-unknown-linux-musleabihf ;;
        mips) echo mips-unknown-linux-musl ;;
        mipsel) echo mipsel-unknown-linux-musl ;;
        freebsd | netbsd | openbsd) echo "x86_64-unknown-$1" ;;
        *-*-*) echo "$1" ;;
        *) fail "$1: not one of x86-64 arm64 armv7 mips mipsel freebsd netbsd openbsd, and not a Rust target" ;;
    esac
}

# Sets RUSTC to a compiler that has the source of std beside it: rustup's with
# rust-src, or Debian's rustc-web with rust-web-src. Fails if there is none.
find_std_source() {
    for compiler in "${RUSTC:-rustc}" /usr/bin/rustc; do
        root=$("$compiler" --print sysroot 2>/dev/null) || continue
        if [ -e "$root/lib/rustlib/src/rust/library/std/Cargo.toml" ]; then
            RUSTC=$compiler
            export RUSTC
            return 0
        fi
    done
    return 1
}

# cargo, with std built anew. Cargo calls this unstable, hence the variable.
cargo_with_std() {
    export RUSTC_BOOTSTRAP=1
    action=$1
    shift
    case $action in
        test) parts=std,panic_unwind,test ;;
        *) parts=std,panic_abort ;;
    esac
    # A fault of a program's own ends it without a message: what would print that
    # takes a twentieth of pen and a third of penctl.
    abort="-Z unstable-options -C panic=immediate-abort"
    # shellcheck disable=SC2086 # several words
    if [ "$action" = build ] && "$RUSTC" $abort --print cfg >/dev/null 2>&1; then
        export RUSTFLAGS="$RUSTFLAGS $abort"
    fi
    run_cargo "$action" --locked -Z build-std=$parts -Z build-std-features=optimize_for_size "$@"
}

# shellcheck disable=SC2034 # for those who source this
# Sets ZIG to a command, which is installed if need be. Fails if it cannot be.
find_zig() {
    if command -v zig >/dev/null; then
        ZIG=zig
    elif python3 -m ziglang version >/dev/null 2>&1; then
        ZIG="python3 -m ziglang"
    else
        ZIG="'$tools/zig/bin/python' -m ziglang"
        test ! -e "$tools/zig/complete" || return 0
        mkdir -p "$tools"
        say "getting zig, which links for other systems (Python's package ziglang, 100 MB)"
        python3 -m venv "$tools/zig" &&
            "$tools/zig/bin/pip" install --quiet "ziglang==$ZIG_VERSION" || return
        touch "$tools/zig/complete"
    fi
}
