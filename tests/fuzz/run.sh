#!/bin/sh
# Gives each target of fuzzing, or those of FUZZ_ONLY, FUZZ_RUNS inputs that
# libFuzzer makes up from those of the corpus and from what it has found before.
# Stops at the first input that a check does not stand.
#
# What it finds interesting stays in target/fuzz/found. So it is put together
# with the corpus, which is to stay small:
#
#     cd target/fuzz; mkdir both
#     */release/TARGET -merge=1 -set_cover_merge=1 -use_counters=0 \
#         both corpus/TARGET found/TARGET
#     debug/examples/prepare --pack both >../../tests/fuzz/corpus/TARGET

set -eu
cd "$(dirname "$0")/../.."

cargo=${CARGO:-cargo}
runs=${FUZZ_RUNS:-10000000}
only=${FUZZ_ONLY:-config control http mergelogs operands options penlogd proxy_protocol web}
build=${CARGO_TARGET_DIR:-target}/fuzz

if ! $cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2
    echo "It also needs a C++ compiler: g++ or clang++." >&2
    exit 1
fi

# No sanitizer: they need another Rust, and there is no unsafe code in what is
# run here. Comparisons are not traced, which would take two thirds of the time.
RUSTC_BOOTSTRAP=1 $cargo fuzz build --fuzz-dir tests/fuzz --target-dir "$build" \
    -s none --no-trace-compares
host=$(rustc -vV | sed -n 's/^host: //p')

# How far it is, on a terminal, until this process has ended.
watch() {
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
        so_far=$(sed -n 's/^#\([0-9]*\).*/\1/p' "$build/$target.log" | tail -n 1)
        printf '%s: %s of %s inputs\033[K\r' "$target" "${so_far:-0}" "$runs" >&2
    done
}

for target in $only; do
    found=$build/found/$target
    mkdir -p "$found"
    $cargo run -q --locked --manifest-path tests/fuzz/Cargo.toml --target-dir "$build" \
        --example prepare "$target" "$build"
    "$build/$host/release/$target" -runs="$runs" -max_len=200 \
        -dict="$build/$target.dict" -close_fd_mask=1 -print_final_stats=1 \
        -artifact_prefix="$build/$target-" "$found" "$build/corpus/$target" \
        >"$build/$target.log" 2>&1 &
    trap 'kill $!' INT TERM
    if test -t 2; then watch $!; fi
    if ! wait $!; then
        tail -n 40 "$build/$target.log" >&2
        exit 1
    fi
    done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
    echo "$target: $done inputs, nothing found"
done
