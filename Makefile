# make            build pen, target/release/pen
# make test       run all tests (no root needed; some compare with the C pen)
# make compat     the tests on the C pen and on ours, as one table; writes the
#                 differences into tests/compat/DIFFERENCES.md, or with
#                 COMPAT=--check only sees whether they are there
# make sizes      lines of code in each room of the sources, without comments,
#                 blank lines and unit tests, and the longest files
# make lint       formatting, clippy, manual pages, scripts, service files
# make demo       pen with its page in front of two small web servers, to try it
# make bench      compare with the C pen, HAProxy and nginx (ten minutes);
#                 BENCH_ROUNDS=1 and BENCH_ONLY=short,bulk make it quicker;
#                 BENCH_ONLY=web: beside 1,000 pages of the web interface;
#                 BENCH_ONLY=checks: 50 and 1,000 servers, checked each second;
#                 BENCH_ONLY=growth: what the work costs as something grows
# make fuzz       what comes from outside, made up by libFuzzer: 10,000,000
#                 inputs for each target (an hour and more); FUZZ_RUNS=100000 or
#                 FUZZ_ONLY="http options" make it quicker. Needs cargo-fuzz
# make soak       1,000,000 connections, one in ten broken: what is left over
#                 afterwards, and whether all counted the same; SOAK_CONNECTIONS
#                 sets their number
# make races      tests with programs that watch themselves for data races and
#                 wrong memory (compiler's sanitizers, valgrind; half an hour);
#                 RACES=library, thread, address or memcheck for one of them
# make chaos      traffic while servers, clients, files and pen itself fail, as
#                 one table (five minutes, as root: all); with CHAOS=short in
#                 one minute, with CHAOS_ONLY=killed,slow these rows alone
# RECORD=1 with make bench, soak or chaos writes the result into tests/RESULTS.md.
# make install    copy the programs to BINDIR, the manual pages below MANDIR and
#                 the completions for bash and zsh; builds only what is not
#                 built yet. SERVICE=systemd, freebsd, openbsd or openwrt: and
#                 what starts pen there (src/service/README.md)
# make uninstall  remove these files again
# make clean      remove all that was built
#
# make static       build programs that need no file of the system they run on;
#                   TARGET=arm64, armv7, mips, mipsel or a Rust target: for
#                   another processor than this one; TARGET=freebsd, netbsd or
#                   openbsd: programs that need that system's C library alone
# make static-test  build them and run all tests with them (as root: all)
# make cross-test   run all tests for arm64 (with musl and with glibc:
#                   arm64-gnu), armv7, mips and mipsel, or for TARGET alone,
#                   under qemu (twenty minutes)
# make check-bsd    link for FreeBSD, OpenBSD and NetBSD, or only type-check
#                   if zig cannot be had
# make check-numbers  compare what src/sys says of all these systems with what
#                   the libc crate says
#
# make browser-test   the page of the web interface in a real browser (Debian:
#                     chromium, chromium-driver, python3); BROWSER=search runs
#                     the tests with that word in their names; SCREENSHOT=FILE
#                     takes the picture of the README instead
#
# PREFIX, BINDIR, MANDIR, BASHDIR, ZSHDIR and DESTDIR say where install puts things:
# make install PREFIX=/usr DESTDIR=/tmp/package. FROM is the directory of the
# programs to install. What cargo builds goes to the directory that the
# environment variable CARGO_TARGET_DIR names, if set.
#
# For any POSIX make: GNU, BSD.

.POSIX:

PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
# systemd, freebsd, openbsd or openwrt: install that system's service files, too.
SERVICE =
CARGO = cargo
INSTALL = install

# What install installs, as far as it is there.
PROGRAMS = pen penctl penlog penlogd mergelogs
PAGES = pen.1 src/man/*.[1-8]

# Scripts that lint looks at.
SCRIPTS = .ci/run .ci/oldest-rust tests/*.sh tests/fuzz/*.sh tests/soak/*.sh tests/static/*.sh \
	src/service/*.sh src/service/*.rc src/service/*.init src/service/*.bash

# A shell word: where cargo puts things.
BUILT = "$${CARGO_TARGET_DIR:-target}"
FROM = $(BUILT)/release

# What static and cross-test build for; this machine, and all five, if empty.
TARGET =

all:
	$(CARGO) build --release --locked

test:
	$(CARGO) test --locked

lint:
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path tests/fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path tests/numbers/Cargo.toml
	$(CARGO) clippy --all-targets --locked -- -D warnings
	@tests/manuals.sh $(PAGES)
	@if ! command -v shellcheck >/dev/null; then \
	    echo "skipped: scripts, as shellcheck is not installed"; \
	else \
	    echo "shellcheck -x $(SCRIPTS)"; \
	    shellcheck -x $(SCRIPTS); \
	fi
	@tests/service.sh

# Of the Rust files that find prints: name and lines, the longest first.
COUNT = xargs awk 'FNR == 1 { tests = 0 } /^\#\[cfg\(test\)\]/ { tests = 1 } \
	!tests && !/^[ \t]*(\/\/|$$)/ { lines[FILENAME]++ } \
	END { for (name in lines) print lines[name], name }' | sort -rn

sizes:
	@find src -name '*.rs' ! -name tests.rs ! -name stress.rs | $(COUNT) | awk \
	    '{ room = $$2; sub(/^src\//, "", room); sub(/(\.rs|\/.*)$$/, "", room); \
	    sum[room] += $$1; all += $$1 } \
	    END { for (room in sum) print sum[room], room; print all, "in all" }' | sort -rn
	@echo "the longest files:"
	@find src -name '*.rs' ! -name tests.rs ! -name stress.rs | $(COUNT) | head -5

compat:
	$(CARGO) test --locked --test suite --no-run
	$(CARGO) build --locked --example compat
	@$(BUILT)/debug/examples/compat $(COMPAT)

demo:
	$(CARGO) build --release --locked --bin pen --example demo
	@$(BUILT)/release/examples/demo

bench:
	$(CARGO) bench --locked --bench bench

fuzz:
	@CARGO="$(CARGO)" tests/fuzz/run.sh

soak:
	$(CARGO) bench --locked --bench soak

races:
	@for what in $${RACES:-library thread address memcheck}; do \
	    CARGO="$(CARGO)" tests/soak/races.sh $$what || exit 1; \
	done

chaos:
	$(CARGO) bench --locked --bench chaos

static:
	@CARGO="$(CARGO)" tests/static/build.sh $(TARGET)

static-test:
	@CARGO="$(CARGO)" tests/static/build.sh
	PEN_BIN_DIR="$$(cd $(BUILT)/static/host && pwd)" $(CARGO) test --locked --test suite

cross-test:
	@CARGO="$(CARGO)" tests/static/cross-test.sh $(TARGET)

check-bsd:
	@CARGO="$(CARGO)" tests/static/check-bsd.sh

check-numbers:
	@CARGO="$(CARGO)" tests/static/check-numbers.sh

browser-test:
	$(CARGO) build --locked --bin pen
	@if command -v python3 >/dev/null; then \
	    PEN=$(BUILT)/debug/pen SCREENSHOT="$(SCREENSHOT)" python3 -B tests/browser/test.py $(BROWSER); \
	else echo "skipped: browser tests, as python3 cannot be found"; fi

# What belongs to pen, a file a line. Configuration that is there already stays,
# and leaves only as it came.
FILES = FROM=$(FROM) PREFIX="$(PREFIX)" BINDIR="$(BINDIR)" MANDIR="$(MANDIR)" \
	BASHDIR="$(BASHDIR)" ZSHDIR="$(ZSHDIR)" src/service/files.sh $(SERVICE)

install:
	@for program in $(PROGRAMS); do \
	    test -x $(FROM)/$$program || exec $(CARGO) build --release --locked; \
	done
	@files=$$($(FILES)) && echo "$$files" | while IFS='|' read -r mode from to; do \
	    to="$(DESTDIR)$$to"; dir=$${to%/*}; \
	    if ! $(INSTALL) -d "$$dir" || ! test -w "$$dir"; then \
	        echo "cannot write to $$dir: install as root, or elsewhere, such as" \
	            "make install PREFIX=$$HOME/.local" >&2; \
	        exit 1; \
	    fi; \
	    case $$from in \
	    *.config) test ! -e "$$to" || continue ;; \
	    src/service/*) \
	        sed "s|/usr/[a-z/]*bin/pen|$(BINDIR)/pen|" "$$from" >"$(BUILT)/file" || exit; \
	        from=$(BUILT)/file ;; \
	    esac; \
	    echo "$$to"; \
	    $(INSTALL) -m $$mode "$$from" "$$to" || exit; \
	done

uninstall:
	@files=$$($(FILES)) && echo "$$files" | while IFS='|' read -r mode from to; do \
	    case $$from in *.config) cmp -s "$$from" "$(DESTDIR)$$to" || continue ;; esac; \
	    rm -f "$(DESTDIR)$$to"; \
	done

clean:
	$(CARGO) clean

.PHONY: all test sizes lint compat demo bench soak races chaos fuzz browser-test static \
	static-test cross-test check-bsd check-numbers install uninstall clean
