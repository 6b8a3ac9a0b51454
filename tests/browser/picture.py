"""The picture of the README: the page under load."""

import os
import time

from looking import follow
from webdriver import wait_until
from world import Load, Pen, Server

LARGEST = 150 * 1024  # bytes, as everyone who gets the sources gets it
SECONDS = 60  # of the charts


def take(browser, path):
    servers = [Server() for _ in range(6)]
    with Pen("-r", "-b", "3600", "-O", "weight", servers=servers) as pen:
        for index in range(6):
            pen.ask(f"server {index} max {(20, 20, 10, 8, 20, 12)[index]} weight {(4, 4, 2, 1, 4, 2)[index]}")
        pen.ask("server 4 blacklist 600")
        follow(browser, pen)
        with Load(pen, threads=12, size=300000):
            wait_until("half of the time", lambda: f"{SECONDS // 2} s" in browser.text("#used-chart"), 2 * SECONDS)
            servers[3].refuse()
            wait_until("the rest", lambda: "1 min" in browser.text("#used-chart"), 2 * SECONDS)
            wait_until("a server is down", lambda: "down for" in browser.text("#servers"))
            browser.size(1180, 700)
            time.sleep(0)
            browser.picture(path)
    size = os.path.getsize(path)
    print(f"{path}: {size} bytes")
    assert size < LARGEST, f"more than {LARGEST} bytes"
