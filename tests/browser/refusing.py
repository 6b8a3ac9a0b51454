"""What is refused, and that it changes nothing."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from acting import words
from looking import follow
from webdriver import wait_until
from world import HOST, PASSWORD, Pen, Server, basic

COMMAND = "server 0 max 99"

# Sends the command as a page may: to its own host, with this token.
POST = """
    const [target, token, options] = arguments;
    const headers = token === null ? {} : { "X-Pen-Token": token };
    return fetch(target + "control", { method: "POST", headers, body: "server 0 max 99", ...options })
      .then(async answer => [answer.status, await answer.text()], error => [error.name, ""])"""


class Unguarded:
    """The pages that refuse forbid scripts to ask for anything: without that
    it can be seen what pen says to who asks all the same."""

    def __init__(self, browser):
        self.browser = browser

    def __enter__(self):
        self.browser.command("Page.setBypassCSP", enabled=True)

    def __exit__(self, *_):
        self.browser.command("Page.setBypassCSP", enabled=False)


class Page(BaseHTTPRequestHandler):
    """Another site."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title><link rel=icon href=data:,><p>another site</p>")

    def log_message(self, *_):
        pass


class Site:
    """Another origin, on the same host."""

    def __enter__(self):
        self.server = ThreadingHTTPServer((HOST, 0), Page)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://{HOST}:{self.server.server_port}/"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def unchanged(pen):
    now = words(pen, 0)["max"]
    assert now == "0", f"max is {now}"


def works(browser, pen):
    """The same from the page itself, so that the refusals above say something."""
    follow(browser, pen)
    token = pen.status()["control"]["token"]
    got = browser.run(POST, f"http://{pen.web}/", token, {})
    assert got[0] == 200, got
    assert words(pen, 0)["max"] == "99"
    browser.complaints()  # of what was refused


def test_without_and_with_a_wrong_password(browser):
    with Pen(servers=[Server()]) as pen:
        token = pen.status()["control"]["token"]
        for password in ("", "admin:wrong@"):
            browser.open(f"http://{password}{pen.web}/")
            assert not browser.elements("#main"), browser.text("body")
        # From the page itself, but without what the browser knows.
        follow(browser, pen)
        for password in ({}, {"Authorization": basic("admin:wrong")}, {"Authorization": basic("other:" + PASSWORD)}):
            got = browser.run(POST, f"http://{pen.web}/", token, {"credentials": "omit", "headers": {"X-Pen-Token": token, **password}})
            assert got[0] == 401, (password, got)
            unchanged(pen)
        for password in ("admin:", pen.password + "x", pen.password[:-1]):
            assert pen.request("POST", "/control", COMMAND, password, X_Pen_Token=token)[0] == 401, password
        for method, path in (("GET", "/"), ("GET", "/status.json"), ("GET", "/config"), ("POST", "/control")):
            status, text = pen.request(method, path, COMMAND, None, X_Pen_Token=token)
            assert status == 401 and token not in text, (method, path, status)
        unchanged(pen)
        works(browser, pen)


def test_with_a_wrong_token(browser):
    with Pen(servers=[Server()]) as pen:
        follow(browser, pen)
        right = pen.status()["control"]["token"]
        for token in (None, "", "0" * len(right), right[:-1], right + "0", right.swapcase()):
            if token != right:
                got = browser.run(POST, f"http://{pen.web}/", token, {})
                assert got[0] == 403, (token, got)
                unchanged(pen)
        works(browser, pen)


def test_from_another_origin(browser):
    with Pen(servers=[Server()]) as pen, Site() as site:
        follow(browser, pen)  # so that the browser has the password
        token = pen.status()["control"]["token"]
        browser.open(site)
        assert browser.text("p") == "another site"
        pens = f"http://{pen.web}/"
        # What needs no leave arrives, with the password, and is refused by pen:
        # the answer cannot be read, but it is one.
        got = browser.run(POST, pens, None, {"mode": "no-cors", "credentials": "include"})
        assert got == [0, ""], got
        unchanged(pen)
        # With the token the browser asks first whether it may.
        got = browser.run(POST, pens, token, {"credentials": "include"})
        assert got == ["TypeError", ""], got
        unchanged(pen)
        read = "return fetch(arguments[0], { credentials: 'include' }).then(answer => answer.status, error => error.name)"
        for path in ("status.json", "config", "metrics", ""):
            assert browser.run(read, pens + path) == "TypeError", f"{path} can be read by others"
        # A form leads to pen's answer, which can be seen here.
        browser.run(
            """const form = Object.assign(document.createElement("form"), { method: "post", enctype: "text/plain", action: arguments[0] + "control" });
               form.append(Object.assign(document.createElement("input"), { name: "server 0 max 99 prio", value: "0" }));
               document.body.append(form);
               form.submit()""",
            pens,
        )
        wait_until("the form is answered", lambda: browser.run("return location.href") == pens + "control")
        status = browser.run("return performance.getEntriesByType('navigation')[0].responseStatus")
        assert status == 403, status
        unchanged(pen)
        # Nor may another site have the page in a frame, to mislead clicks.
        browser.open(site)
        framed = browser.run(
            """return new Promise(resolve => {
                 const frame = Object.assign(document.createElement("iframe"), { src: arguments[0], onload: () => {
                   try { resolve(String(frame.contentDocument?.body.innerText)); } catch (error) { resolve(error.name); }
                 } });
                 document.body.append(frame);
               })""",
            pens,
        )
        assert "live" not in framed, framed
        assert any("frame" in text.lower() for text in browser.complaints())
        # And by hand, with everything right but the origin.
        for origin in (site.rstrip("/"), "null", f"http://{HOST}", f"http://{pen.web}.example"):
            status, _ = pen.request("POST", "/control", COMMAND, X_Pen_Token=token, Origin=origin)
            assert status == 403, (origin, status)
            unchanged(pen)
        works(browser, pen)


def test_with_a_wrong_host(browser):
    """A name of somebody else's that leads to pen: DNS rebinding."""
    with Pen(servers=[Server()]) as pen:
        token = pen.status()["control"]["token"]
        name = f"rebind.example:{pen.web_port}"
        with Unguarded(browser):
            browser.open(pen.url.replace(pen.web, name))
            assert not browser.elements("#main"), browser.text("body")
            # The browser takes this for the page's own origin.
            assert browser.run("return location.host") == name
            for path in ("status.json", "config"):
                got = browser.run("return fetch(arguments[0]).then(answer => answer.status)", f"http://{name}/{path}")
                assert got == 421, (path, got)
            got = browser.run(POST, f"http://{name}/", token, {})
            assert got[0] == 421, got
        unchanged(pen)
        for host in ("rebind.example", name, "localhost.rebind.example", f"{HOST}.rebind.example"):
            status, _ = pen.request("POST", "/control", COMMAND, X_Pen_Token=token, Host=host, Origin=f"http://{host}")
            assert status == 421, (host, status)
        unchanged(pen)
        works(browser, pen)
