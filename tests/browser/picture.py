"""The picture of the README: the page under load."""

import os

from looking import follow, row
from webdriver import wait_until
from world import Load, Pen, Server, neighbour

LARGEST = 150 * 1024  # bytes, as everyone who gets the sources gets it
SHARES = ((20, 4), (20, 4), (10, 2), (8, 1), (20, 4))  # max and weight of each server


def take(browser, path):
    servers = [Server() for _ in SHARES]
    with Pen("-r", "-W", "-O", "check 2", servers=servers) as pen:
        for index, (most, weight) in enumerate(SHARES):
            pen.ask(f"server {index} max {most} weight {weight}")
        follow(browser, pen)
        browser.size(1250, 760)
        clients = [pen.visit(size=5000, source=neighbour(40 + n % 8)) for n in range(25)]
        with Load(pen, threads=8, size=300000):
            wait_until("there is something to see", lambda: "40 s" in browser.text("#used-chart"), 120)
            servers[3].refuse()
            wait_until("a server is down", lambda: "Connection refused" in row(browser, 3))
            pen.ask("server 4 state drain")
            clients += [pen.visit(size=900000, source=neighbour(50 + n)) for n in range(10)]
            wait_until("more to see", lambda: "1 min" in browser.text("#used-chart"), 120)
            browser.picture(path)
        for client in clients:
            client.close()
    size = os.path.getsize(path)
    print(f"{path}: {size} bytes")
    assert size < LARGEST, f"more than {LARGEST} bytes"
