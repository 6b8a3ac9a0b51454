"""What can be done from the page, with the password."""

from looking import follow, row
from webdriver import wait_until
from world import HOST, Pen, Server

# https://www.w3.org/TR/webdriver2/#keyboard-actions
TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"


def is_open(browser):
    return browser.run("return document.querySelector('#dialog').open")


def send(browser, command):
    """Sends the command that the dialog shows; waits for its reply in the log."""
    assert browser.text("#command") == command, browser.text("#command")
    browser.click("#send")
    wait_until(f"{command} is done", lambda: f"› {command}" in browser.text("#log") and not is_open(browser))


def press(browser, index, verb):
    """A button of a server."""
    browser.click(f"#servers button[aria-label='{verb} server {index}']")


def reply(browser):
    """What the log has of the last command."""
    return browser.text("#log > div:first-child > div")


def words(pen, index):
    """A line of the control port's `servers`, by names."""
    line = pen.ask("servers").splitlines()[index].split()[1:]
    return dict(zip(line[::2], line[1::2]))


def test_a_server_is_changed_drained_and_cleared(browser):
    with Pen("-r", servers=[Server(), Server()]) as pen:
        follow(browser, pen)
        assert not browser.run("return document.querySelector('.readonly').checkVisibility()")
        browser.click("#servers tr:nth-child(2) button")
        assert browser.text("#command") == "nothing is changed yet"
        browser.type("#fields [name=max]", "7")
        browser.type("#fields [name=hard]", "9")
        browser.type("#fields [name=weight]", "3")
        browser.type("#fields [name=prio]", "-2")
        send(browser, "server 1 max 7 hard 9 weight 3 prio -2")
        assert reply(browser) == "done"
        now = words(pen, 1)
        assert [now[key] for key in ("max", "hard", "weight", "prio")] == ["7", "9", "3", "-2"], now
        wait_until("the page shows it", lambda: "0 / 7 (9)" in row(browser, 1))

        browser.click("#servers tr:nth-child(2) button")
        browser.type("#fields [name=blacklist]", "600")
        send(browser, "server 1 blacklist 600")
        assert pen.state(1) == "drained"
        wait_until("the page shows it", lambda: "drained" in row(browser, 1))
        browser.click("#servers tr:nth-child(2) button")
        browser.type("#fields [name=blacklist]", "0")
        send(browser, "server 1 blacklist 0")
        assert pen.state(1) == "untried"
        wait_until("the page shows it", lambda: "untried" in row(browser, 1))

        other = Server()
        browser.click("#servers tr:nth-child(2) button")
        browser.type("#fields [name=address]", "127.0.0.9")
        browser.type("#fields [name=port]", str(other.port))
        send(browser, f"server 1 address 127.0.0.9 port {other.port}")
        assert words(pen, 1)["addr"] == "127.0.0.9" and words(pen, 1)["port"] == str(other.port)


def test_a_server_is_added_and_taken_out(browser):
    with Pen("-r", servers=[Server()]) as pen:
        new = Server()
        follow(browser, pen)
        browser.click("#add")
        browser.type("#fields [name=address]", HOST)
        browser.type("#fields [name=port]", str(new.port))
        browser.type("#fields [name=max]", "5")
        send(browser, f"server 1 address {HOST} port {new.port} max 5")
        wait_until("the page shows it", lambda: new.operand in row(browser, 1))
        for _ in range(2):
            pen.visit().close()
        assert int(words(pen, 1)["sx"]) > 0, "it is used"
        press(browser, 1, "Remove")
        assert browser.text("#send") == "Remove" and "The slot stays empty" in browser.text("#note")
        send(browser, "server 1 address 0")
        wait_until("it is an empty slot", lambda: "empty slot" in row(browser, 1))
        browser.click("#add")
        assert browser.text("#title") == "Server 1", "the empty slot is filled first"
        browser.click("#cancel")


def test_a_server_is_taken_out_and_back(browser):
    def offered():
        return browser.run("return [...document.querySelectorAll('#servers tr:first-child button')].filter(node => node.checkVisibility()).map(node => node.innerText)")

    with Pen("-r", servers=[Server(), Server()]) as pen:
        follow(browser, pen)
        assert offered() == ["Change…", "Drain…", "Maintenance…", "Remove…"]
        for verb, words, state in (("Drain", "drain", "drained"), ("Maintenance", "maint", "maint")):
            press(browser, 0, verb)
            assert browser.text("#send") == verb and "until Ready" in browser.text("#note")
            assert browser.text("#title") == f"{verb} server 0, {pen.words[-2]}?", browser.text("#title")
            send(browser, f"server 0 state {words}")
            assert pen.state(0) == state
            wait_until("the page shows it", lambda: f"{state}\nsince " in row(browser, 0) and "until Ready" in row(browser, 0))
            assert "by command" in row(browser, 0) and f"{verb}…" not in offered()
        press(browser, 0, "Ready")
        send(browser, "server 0 state ready blacklist 0")
        wait_until("it is back", lambda: offered() == ["Change…", "Drain…", "Maintenance…", "Remove…"])
        assert pen.state(0) == "untried"
        assert "→ maint" in browser.text("#events"), browser.text("#events")


def test_a_connection_is_closed(browser):
    with Pen("-r", servers=[Server()]) as pen:
        follow(browser, pen)
        with pen.visit() as first, pen.visit() as second:
            wait_until("both are shown", lambda: len(browser.elements("#connections tr")) == 2)
            browser.click("#connections tr:nth-child(2) button")
            assert browser.text("#title") == f"Close {HOST}'s connection", browser.text("#title")
            assert [browser.text(of) for of in ("#send", "#cancel")] == ["Close connection", "Keep"]
            send(browser, "close 1")
            assert reply(browser) == "Forcibly closing connection 1"
            second.settimeout(30)
            assert second.recv(1) == b"", "it is closed"
            first.sendall(b"3\n")
            assert first.recv(3) == b"xxx", "the other goes on"
            wait_until("one is left", lambda: len(browser.elements("#connections tr")) == 1)


def test_modes_are_switched(browser):
    def mode(name):
        return f"no {name}" not in pen.ask("mode")

    with Pen(servers=[Server()]) as pen:
        follow(browser, pen)
        for index, name in enumerate(("hash", "roundrobin", "stubborn", "weight", "prio"), 1):
            button = f"#switches button:nth-child({index})"
            for on in (True, False):
                browser.click(button)
                send(browser, name if on else f"no {name}")
                assert mode(name) == on, pen.ask("mode")
                wait_until("the page shows it", lambda: browser.run("return document.querySelector(arguments[0]).ariaPressed", button) == str(on).lower())


def test_other_commands_and_complaints(browser):
    with Pen("-r", servers=[Server()]) as pen:
        follow(browser, pen)
        browser.click("#any")
        browser.type("#fields input", "blacklist 44")
        send(browser, "blacklist 44")
        assert reply(browser) == "44"
        wait_until("the settings show it", lambda: "blacklist\n44 s" in browser.text("#settings"))
        browser.click("#servers button")
        browser.type("#fields [name=max]", "many")
        browser.click("#send")
        wait_until("pen complains", lambda: "many" in browser.text("#reply"))
        assert is_open(browser) and words(pen, 0)["max"] == "0"
        browser.click("#cancel")
        assert not is_open(browser)
        refused = [text for text in browser.complaints() if "422" not in text]
        assert not refused, refused


def test_the_configuration_is_shown_and_saved(browser):
    with Pen("-r", servers=[server := Server()]) as pen:
        follow(browser, pen)
        links = browser.run("return [...document.querySelectorAll('#main a')].map(a => [a.getAttribute('href'), a.download])")
        assert links == [["config", ""], ["config", "pen.cfg"]], links
        browser.open(pen.url + "config")
        assert f"server 0 acl 0 address {HOST} port {server.port}" in browser.text("body")


def test_the_keyboard_suffices(browser):
    with Pen("-r", servers=[Server()]) as pen:
        follow(browser, pen)

        def focus():
            return browser.run("return document.activeElement.ariaLabel ?? document.activeElement.name")

        def tab_to(name):
            for _ in range(20):
                if focus() == name:
                    return
                browser.keys(TAB)
            raise AssertionError(f"no way to {name}")

        tab_to("Change server 0")
        browser.keys(ENTER)
        tab_to("max")
        browser.keys("5")
        assert browser.text("#command") in ("server 0 max 5", "server 0 max 50", "server 0 max 05"), browser.text("#command")
        browser.keys(ESCAPE)
        assert not is_open(browser) and focus() == "Change server 0"
        browser.keys(ENTER)
        tab_to("weight")
        browser.keys("6", ENTER)
        wait_until("it is sent", lambda: "server 0 weight" in browser.text("#log"))
        assert int(words(pen, 0)["weight"]) >= 6
        assert words(pen, 0)["max"] == "0"


def test_it_goes_on_with_a_pen_that_was_started_anew(browser):
    """Whose token is another one."""
    with Pen("-r", servers=[Server()]) as pen:
        follow(browser, pen)
        browser.click("#any")
        browser.type("#fields input", "blacklist 55")
        pen.stop()
        pen.start()
        send(browser, "blacklist 55")
        assert pen.ask("blacklist") == "55\n"
        browser.complaints()  # of the time without pen


def test_without_a_password_nothing_can_be_done(browser):
    with Pen("-r", password=False, servers=[Server()]) as pen:
        with pen.visit():
            follow(browser, pen)
            wait_until("a connection is shown", lambda: browser.elements("#connections tr"))
            shown = browser.run("return [...document.querySelectorAll('button:enabled, a')].filter(node => node.checkVisibility() && !node.closest('th')).length")
            assert shown == 0, shown
            assert "This page is read-only." in browser.text(".readonly") and "web_password" in browser.text(".readonly")
            assert pen.request("POST", "/control", "server 0 max 99")[0] == 403
            assert pen.request("GET", "/config")[0] == 403
            assert words(pen, 0)["max"] == "0"
