#!/bin/sh
# Runs tests with programs that watch themselves:
#
#     tests/soak/races.sh library         data races (ThreadSanitizer) in the
#                                         library's tests, which have many
#                                         threads at its tables at once
#     tests/soak/races.sh thread          the same in the whole suite
#     tests/soak/races.sh address         wrong memory (AddressSanitizer)
#     tests/soak/races.sh memcheck        wrong memory (valgrind)
#
# More words go to the test runner: names of tests, to run these alone. Whatever
# the programs say about themselves is shown, and makes the status 1. Their
# standard library is built with the same checks, as it has the locks. helgrind
# and drd are of no use here: they know the locks of pthreads, and Rust's are
# made of atomics and futexes, for which they report races that are none.

set -eu
# shellcheck source=tests/static/common.sh
. "$(dirname "$0")/../static/common.sh"

what=${1-}
shift $(($# > 0))

logs=$OUT/races/logs-$what
rm -rf "$logs"
mkdir -p "$logs"

# For reports that name places.
export CARGO_PROFILE_RELEASE_DEBUG=1 CARGO_PROFILE_RELEASE_STRIP=false

# Runs cargo with one of the compiler's sanitizers: $1 for rustc, $2 for LLVM.
# Its results are below $built.
cargo_with() {
    if ! find_std_source; then
        say "skipped: no Rust toolchain with the source of std (rustup component add rust-src," \
            "or on Debian: apt-get install rustc-web rust-web-src)"
        exit 0
    fi
    host=$("$RUSTC" -vV | sed -n 's/^host: //p')
    flags="-Z sanitizer=$1 -C force-frame-pointers=yes"
    if ! ls "$("$RUSTC" --print target-libdir)"/*_rt.asan.a >/dev/null 2>&1; then
        # Debian's compiler comes without the sanitizers' libraries. LLVM's own
        # goes in front of all, so that it gets every call to the C library.
        llvm=$("$RUSTC" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
        lib=/usr/lib/llvm-$llvm/lib/clang/$llvm/lib/linux/libclang_rt.$2-$(uname -m).a
        if [ ! -e "$lib" ]; then
            say "skipped: no $lib; on Debian: apt-get install libclang-rt-$llvm-dev"
            exit 0
        fi
        flags="$flags -Z external-clangrt -Z pre-link-arg=-Wl,--whole-archive"
        flags="$flags -Z pre-link-arg=$lib -Z pre-link-arg=-Wl,--no-whole-archive"
        flags="$flags -Z pre-link-arg=-Wl,--export-dynamic -C link-arg=-lm -C link-arg=-lc"
    fi
    say "building with the $1 sanitizer and $("$RUSTC" --version)"
    target=$OUT/races/$1
    built=$target/$host
    shift 2
    (
        export RUSTFLAGS="${RUSTFLAGS-} $flags"
        export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
        action=$1
        shift
        cargo_with_std "$action" --target "$host" --target-dir "$target" "$@"
    )
    unset RUSTC
}

case $what in
    library)
        cargo_with thread tsan test --lib -- --quiet "$@"
        exit
        ;;
    thread)
        cargo_with thread tsan build --release --bins
        bin=$built/release
        export TSAN_OPTIONS="log_path=$logs/log exitcode=66"
        ;;
    address)
        cargo_with address asan build --release --bins
        bin=$built/release
        # What the process holds at its end is no leak: it ends by exit.
        export ASAN_OPTIONS="log_path=$logs/log exitcode=66 detect_leaks=0"
        ;;
    memcheck)
        if ! command -v valgrind >/dev/null; then
            say "skipped: valgrind is not installed"
            exit 0
        fi
        # As it is used: without optimisation tests take too long for their limits.
        run_cargo build --locked --release --bins --target-dir "$OUT/races/valgrind"
        bin=$OUT/races/memcheck
        mkdir -p "$bin"
        for program in pen penctl penlog penlogd mergelogs; do
            wrapper=$bin/$program
            printf '#!/bin/sh\nexec valgrind --quiet --error-exitcode=66 %s "%s" "$@"\n' \
                "--max-threads=4000 --fair-sched=try --vgdb=no --log-file='$logs/log.%p'" \
                "$OUT/races/valgrind/release/$program" >"$wrapper"
            chmod +x "$wrapper"
        done
        # 50,000 queries, a third of them within 20 s.
        set -- "$@" --skip many_queries_while_a_server_dies
        ;;
    *) fail "${what:-nothing}: not one of library, thread, address, memcheck" ;;
esac

# Where threads, memory or descriptors are counted, those of the tools
# would count too; and a bare root has no libraries for them.
set -- "$@" --skip limits:: --skip alone:: --skip two_thousand_connections \
    --skip installation:: --skip a_configuration_without_an_end
result=0
PEN_BIN_DIR="$bin" run_cargo test --locked --test suite -- --quiet "$@" || result=1
for log in "$logs"/*; do
    if [ -s "$log" ]; then
        cat "$log"
        result=1
    fi
done
test $result -eq 0 || fail "$what: see above"
say "$what: nothing found"
