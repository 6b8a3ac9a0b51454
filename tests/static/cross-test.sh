#!/bin/sh
# Runs the test suite against programs for other processors, which qemu
# interprets: static ones with musl, and with -gnu ones with glibc:
#
#     tests/static/cross-test.sh [arm64] [arm64-gnu] [armv7] [mips] [mipsel]
#
# All of it but four tests: a flood must be drunk as fast as a real processor
# does; and qemu does not know the options for connections from the client's address (IP_TRANSPARENT) and for
# sharing ports (IP_BIND_ADDRESS_NO_PORT).

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

flood=udp_flood::a_flood_costs_no_more_than_the_cap_and_disturbs_nobody
transparent=s_come_from_the_client
ports=own_ports::with_source_each_server_has_all_ports

# glibc's limits are not musl's, and not the same on all processors.
build_for_glibc() {
    command -v aarch64-linux-gnu-gcc >/dev/null ||
        fail "no aarch64-linux-gnu-gcc; on Debian: apt-get install gcc-aarch64-linux-gnu" \
            "libc6-dev-arm64-cross"
    find_std_source || fail "no source of std (rustup component add rust-src," \
        "or on Debian: apt-get install rustc-web rust-web-src)"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    cargo_with_std build --release --bins --target aarch64-unknown-linux-gnu
    mkdir -p "$OUT/static/aarch64-unknown-linux-gnu"
    for program in pen penctl penlog penlogd mergelogs; do
        cp "$OUT/aarch64-unknown-linux-gnu/release/$program" "$OUT/static/aarch64-unknown-linux-gnu"
    done
}

test $# -gt 0 || set -- arm64 arm64-gnu armv7 mips mipsel
for name; do
    order=little glibc=
    case $name in
        arm64) arch=aarch64 ;;
        arm64-gnu) arch=aarch64 glibc=/usr/aarch64-linux-gnu/lib ;;
        armv7) arch=arm ;;
        mips) arch=mips order=big ;;
        mipsel) arch=mipsel ;;
        *) fail "$name: not one of arm64 arm64-gnu armv7 mips mipsel" ;;
    esac
    qemu=$(command -v "qemu-$arch-static" || command -v "qemu-$arch") ||
        fail "no qemu-$arch-static; on Debian: apt-get install qemu-user-static"
    case $name in
        *-gnu) (build_for_glibc) ;;
        *) tests/static/build.sh "$name" ;;
    esac
    # Programs that start qemu with ours.
    bin=$OUT/static/qemu-$name
    mkdir -p "$bin"
    for program in "$OUT/static/$(triple "$name")"/*; do
        wrapper=$bin/${program##*/}
        # qemu's own way to find libraries (-L) would give pen another root.
        loader=${glibc:+$glibc/ld-linux-aarch64.so.1 --library-path $glibc}
        printf '#!/bin/sh\nexec "%s" %s "%s" "$@"\n' "$qemu" "$loader" "$program" >"$wrapper"
        chmod +x "$wrapper"
    done
    say "all tests for $name under $qemu, but for $flood, $ports" \
        "and *$transparent"
    export PEN_BIN_DIR="$bin" PEN_BYTE_ORDER="$order"
    run_cargo test --locked --test suite -- --quiet --skip $flood \
        --skip $transparent --skip $ports
    passed="${passed-} $name"
done
say "all but those four passed for$passed"
