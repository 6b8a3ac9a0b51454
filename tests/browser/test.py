#!/usr/bin/env python3
"""The page of the web interface in a real browser: `make browser-test`.

    tests/browser/test.py [WORD...]     the tests with such a word in their names
    SCREENSHOT=FILE tests/browser/test.py    a picture of the page under load

It starts what it needs (pen from $PEN, servers, clients, chromium by way of
chromedriver) and ends what it started, and nothing else."""

import os
import signal
import sys
import time
import traceback

import acting
import looking
import refusing
from picture import take
from webdriver import Browser, missing
from world import HOST

SUITES = (looking, acting, refusing)


def tests():
    """Functions by name, in the order of the files."""
    for suite in SUITES:
        for name, function in vars(suite).items():
            if name.startswith("test_"):
                yield name.removeprefix("test_"), function


def main(words):
    # Whoever ends it ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if missing():
        print(f"skipped: browser tests, as {' and '.join(missing())} cannot be found")
        return 0
    # A name that leads here, as an attacker's name server would say it.
    with Browser(f"--host-resolver-rules=MAP rebind.example {HOST}") as browser:
        print(f"chromium {browser.version}, pen on {HOST}", flush=True)
        if os.environ.get("SCREENSHOT"):
            take(browser, os.environ["SCREENSHOT"])
            return 0
        failed = 0
        chosen = [(name, test) for name, test in tests() if not words or any(word in name for word in words)]
        for name, test in chosen:
            began = time.monotonic()
            try:
                said = test(browser)
                # The page may have asked once more when the test's pen had ended.
                left = [text for text in browser.complaints() if "ERR_CONNECTION_REFUSED" not in text]
                if left:
                    raise AssertionError(f"the console got: {left}")
                print(f"ok      {name} ({time.monotonic() - began:.1f} s)", said or "", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {name}", flush=True)
                traceback.print_exc()
                browser.complaints()
            browser.open("about:blank")
        print(f"{len(chosen) - failed} of {len(chosen)} browser tests passed")
        return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
