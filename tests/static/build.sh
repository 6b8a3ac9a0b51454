#!/bin/sh
# Builds the five programs so that they need no file of the system they run
# on, or for a BSD nothing except its C library, which is how programs are made
# there:
#
#     tests/static/build.sh [x86-64|arm64|armv7|mips|mipsel|
#                            freebsd|netbsd|openbsd|<a Rust target>]
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
# What is for another processor or system is linked by zig, a Python package.

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

PROGRAMS="pen penctl penlog penlogd mergelogs"
# Bytes for each program, for x86-64 with a std built here. The std that rustup
# has also carries what prints backtraces, which is as much as half of pen.
X86_LIMIT=655360

native=$(triple "$(uname -m)")
target=$(triple "${1:-$native}")
limit=
mkdir -p "$tools"

# Makes a linker for $target of the words given, to which cargo adds its own.
# The libc crate names libraries of FreeBSD of which std uses nothing, and which
# zig does not have.
make_linker() {
    linker=$tools/link-$target
    cat >"$linker" <<EOF
#!/bin/sh
for word; do
    shift
    case \$word in
        -lkvm | -lmemstat | -lprocstat | -ldevstat) ;;
        *) set -- "\$@" "\$word" ;;
    esac
done
exec $* "\$@"
EOF
    chmod +x "$linker"
    name=$(echo "$target" | tr a-z- A-Z_)
    export "CARGO_TARGET_${name}_LINKER=$linker"
}

# $target as zig calls it.
zig_target() {
    case $target in
        armv7-*) echo arm-linux-musleabihf ;;
        mips-* | mipsel-*) echo "${target%%-*}-linux-musleabi" ;;
        *-linux-musl*) echo "${target%%-*}-linux-${target##*-}" ;;
        *bsd) echo "${target%%-*}-${target##*-}" ;;
        *) fail "$target: only for Linux with musl and for BSDs can it be linked here" ;;
    esac
}

has_std() {
    libs=$("${RUSTC:-rustc}" --print target-libdir --target "$target" 2>/dev/null) &&
        ls "$libs"/libstd-*.rlib >/dev/null 2>&1
}

bsd=
case $target in
    *bsd) bsd=${target##*-} ;;
    *) RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static" ;;
esac
export RUSTFLAGS="${RUSTFLAGS-}"
# Small before fast: a third less, and as the kernel does most of the work, 5 % more
# processor time for a request.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=z
if [ "$target" != "$native" ]; then
    zig_target=$(zig_target)
    find_zig || fail "no zig: install it, or python3 with venv and pip (Debian: python3-venv)" \
        "and a way to PyPI"
    make_linker "$ZIG cc -target $zig_target"
    test -n "$bsd" || RUSTFLAGS="$RUSTFLAGS -C link-self-contained=no"
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

# The names that a program asks the system's libraries for, one a line.
symbols() {
    readelf --dyn-syms -W "$1" | awk '$7 == "UND" && $8 { sub(/@.*/, "", $8); print $8 }' | sort -u
}

# Compares what a BSD's program asks for with what zig knows of that system. The
# linker has done so, too, but not for weak names. NetBSD keeps the old form of a
# function under its name, and its headers give programs another name for the new
# one: the old ones must not be asked for. (What POSIX wants otherwise, as __posix_chown,
# is no new form.)
check_symbols() {
    symbols "$1" >"$tools/asked"
    test -s "$tools/asked" || fail "$1 asks for nothing, says readelf"
    missing=$(LC_ALL=C tr -cs 'A-Za-z0-9_.' '\n' <"$zig_lib/libc/$bsd/abilists" |
        sort -u | LC_ALL=C comm -13 - "$tools/asked")
    test -z "$missing" || fail "$1 asks for what $bsd does not have: $(echo "$missing" | tr '\n' ' ')"
    test "$bsd" = netbsd || return 0
    find "$zig_lib/libc/include/generic-netbsd" -name '*.h' -exec grep -ahv '^[[:blank:]]*#' {} + |
        tr '\n\t;' '  \n' | grep '__RENAME(' |
        grep -v '__RENAME(__posix_' >"$tools/renamed"
    while read -r name; do
        if grep -Eq "[ *]$name *\([^()]*(\([^()]*\)[^()]*)*\) *__RENAME\(" "$tools/renamed"; then
            fail "$1 asks for $name, which NetBSD has renamed"
        fi
    done <"$tools/asked"
}

if [ -n "$bsd" ]; then
    command -v readelf >/dev/null || fail "no readelf (binutils)"
    zig_lib=$(eval "$ZIG env" | sed -n 's/.*\.lib_dir = "\(.*\)",/\1/p')
    about="all symbols are there"
else
    about=static
fi

built=$OUT/$target/release
final=$OUT/static/$target
rm -rf "$final"
mkdir -p "$final"
for program in $PROGRAMS; do
    if [ -n "$bsd" ]; then
        check_symbols "$built/$program"
    else
        case $(headers "$built/$program") in
            *INTERP* | *NEEDED* | *"dynamically linked"*) fail "$built/$program is not static" ;;
        esac
    fi
    size=$(($(wc -c <"$built/$program")))
    if [ "$size" -gt "${limit:-$size}" ]; then
        fail "$built/$program has $size bytes, more than $limit"
    fi
    cp "$built/$program" "$final"
    say "$final/$program: $about, $size bytes"
done
if [ $# -eq 0 ]; then
    rm -f "$OUT/static/host"
    ln -s "$target" "$OUT/static/host"
fi
