#!/bin/sh
# Builds the five programs so that they need no file of the system they run
# on:
#
#     tests/static/build.sh [x86-64|arm64|armv7|mips|mipsel|<a Rust target>]
#
# Without a name it is for this machine. The programs are put into
# static/<Rust target> of cargo's directory; static/host is the one for this
# machine. The standard library comes from the first of these that is there:
#
#  1. a toolchain that has it for this target (rustup target add ...);
#  2. a toolchain that has its source, from which cargo builds it;
#  3. for this machine's processor only, the toolchain's own, with the C
#     library of this machine.
#
# What is for another processor is linked by zig, a Python package.

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

PROGRAMS="pen penctl penlog penlogd mergelogs"
# Bytes for each program, for x86-64 with a std built here. The std that rustup
# has also carries what prints backtraces, which is as much as half of pen.
X86_LIMIT=614400
ZIG_VERSION=0.17.1

native=$(triple "$(uname -m)")
target=$(triple "${1:-$native}")
limit=
tools=$OUT/static/tools
mkdir -p "$tools"

# Makes a linker for $target of the words given, to which cargo adds its own.
make_linker() {
    linker=$tools/link-$target
    printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$linker"
    chmod +x "$linker"
    name=$(echo "$target" | tr a-z- A-Z_)
    export "CARGO_TARGET_${name}_LINKER=$linker"
}

# Sets ZIG to a command, getting it if need be.
find_zig() {
    if command -v zig >/dev/null; then
        ZIG=zig
    elif python3 -m ziglang version >/dev/null 2>&1; then
        ZIG="python3 -m ziglang"
    else
        ZIG="'$tools/zig/bin/python' -m ziglang"
        test ! -e "$tools/zig/complete" || return 0
        say "getting zig, which links for other processors (Python's package ziglang, 100 MB)"
        if ! python3 -m venv "$tools/zig" ||
            ! "$tools/zig/bin/pip" install --quiet "ziglang==$ZIG_VERSION"; then
            fail "no zig: install it, or python3 with venv and pip (Debian: python3-venv) and a way to PyPI"
        fi
        touch "$tools/zig/complete"
    fi
}

# $target as zig calls it.
zig_target() {
    case $target in
        armv7-*) echo arm-linux-musleabihf ;;
        mips-* | mipsel-*) echo "${target%%-*}-linux-musleabi" ;;
        *-linux-musl*) echo "${target%%-*}-linux-${target##*-}" ;;
        *) fail "$target: only for Linux with musl can it be linked here" ;;
    esac
}

has_std() {
    libs=$("${RUSTC:-rustc}" --print target-libdir --target "$target" 2>/dev/null) &&
        ls "$libs"/libstd-*.rlib >/dev/null 2>&1
}

export RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static"
# Small before fast: a third less, and as the kernel does most of the work, 5 % more
# processor time for a request.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=z
if [ "$target" != "$native" ]; then
    zig_target=$(zig_target)
    find_zig
    make_linker "$ZIG cc -target $zig_target"
    RUSTFLAGS="$RUSTFLAGS -C link-self-contained=no"
fi

if has_std; then
    say "with the toolchain's standard library for $target"
    run_cargo build --release --locked --bins --target "$target"
elif [ "$target" != "$native" ]; then
    find_std_source ||
        fail "no standard library for $target and no source of it: rustup target add $target," \
            "or rustup component add rust-src, or on Debian: apt-get install rustc-web rust-web-src"
    say "with the source of std beside $("$RUSTC" --version)"
    cargo_with_std build --release --bins --target "$target"
elif command -v musl-gcc >/dev/null && find_std_source; then
    say "with the source of std beside $("$RUSTC" --version), and musl-gcc"
    # std asks for libunwind, of which nothing is used as panics abort. Of
    # position-independent code musl-gcc would make a dynamic program.
    ar rcs "$tools/libunwind.a"
    make_linker "musl-gcc -L'$tools'"
    RUSTFLAGS="$RUSTFLAGS -C link-self-contained=no -C relocation-model=static"
    # Nor are the tables for it: 40 KiB of pen.
    RUSTFLAGS="$RUSTFLAGS -C force-unwind-tables=no"
    cargo_with_std build --release --bins --target "$target"
    case $target in x86_64-*) limit=$X86_LIMIT ;; esac
else
    say "with this machine's C library, which makes larger programs than musl; for musl:" \
        "rustup target add $target, or on Debian: apt-get install rustc-web rust-web-src musl-tools"
    target=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
    run_cargo build --release --locked --bins --target "$target"
fi

# What a program needs of the system, from its headers.
headers() {
    if command -v readelf >/dev/null; then
        readelf -ldW "$1"
    elif command -v file >/dev/null; then
        file "$1"
    else
        fail "whether they are static cannot be seen: install readelf (binutils) or file"
    fi
}

built=$OUT/$target/release
final=$OUT/static/$target
rm -rf "$final"
mkdir -p "$final"
for program in $PROGRAMS; do
    about=$(headers "$built/$program")
    case $about in
        *INTERP* | *NEEDED* | *"dynamically linked"*) fail "$built/$program is not static" ;;
    esac
    size=$(($(wc -c <"$built/$program")))
    if [ "$size" -gt "${limit:-$size}" ]; then
        fail "$built/$program has $size bytes, more than $limit"
    fi
    cp "$built/$program" "$final"
    say "$final/$program: static, $size bytes"
done
if [ $# -eq 0 ]; then
    rm -f "$OUT/static/host"
    ln -s "$target" "$OUT/static/host"
fi
