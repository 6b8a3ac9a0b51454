#!/bin/sh
# Runs the test suite against static programs for other processors, which qemu
# interprets:
#
#     tests/static/cross-test.sh [arm64] [armv7] [mips] [mipsel]
#
# All of it but four tests: a flood must be drunk as fast as a real processor
# does; a limit on memory is one on qemu's, which may crash; and it does not know
# the option for connections from the client's address (IP_TRANSPARENT).

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/common.sh"

flood=udp_flood::a_flood_costs_no_more_than_the_cap_and_disturbs_nobody
memory=limits::without_memory_to_be_had_clients_wait
transparent=s_come_from_the_client

test $# -gt 0 || set -- arm64 armv7 mips mipsel
for name; do
    order=little
    case $name in
        arm64) arch=aarch64 ;;
        armv7) arch=arm ;;
        mips) arch=mips order=big ;;
        mipsel) arch=mipsel ;;
        *) fail "$name: not one of arm64 armv7 mips mipsel" ;;
    esac
    qemu=$(command -v "qemu-$arch-static" || command -v "qemu-$arch") ||
        fail "no qemu-$arch-static; on Debian: apt-get install qemu-user-static"
    tests/static/build.sh "$name"
    # Programs that start qemu with ours.
    bin=$OUT/static/qemu-$name
    mkdir -p "$bin"
    for program in "$OUT/static/$(triple "$name")"/*; do
        wrapper=$bin/${program##*/}
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$qemu" "$program" >"$wrapper"
        chmod +x "$wrapper"
    done
    say "all tests for $name under $qemu, but for $flood, $memory and *$transparent"
    export PEN_BIN_DIR="$bin" PEN_BYTE_ORDER="$order"
    run_cargo test --locked --test suite -- --quiet --skip $flood --skip $memory --skip $transparent
    passed="${passed-} $name"
done
say "all but those four passed for$passed"
