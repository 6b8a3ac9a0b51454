"""What the page shows."""

import statistics
import time

from webdriver import wait_until
from world import HOST, Load, Pen, Server, neighbour

# As many pixels wide as a small telephone.
NARROW = 360


def follow(browser, pen):
    """Opens the page and waits until it follows pen."""
    browser.size(1280)
    browser.open(pen.url)
    wait_until("the page is live", lambda: browser.text("#live") == "live" and browser.text("#up"))


def row(browser, index):
    """A server's row as it can be read."""
    return browser.text(f"#servers tr:nth-child({index + 1})")


def test_a_server_goes_down_and_comes_back_within_two_seconds(browser):
    took = []
    with Pen("-r", "-b", "3600", servers=[server := Server(), Server()]) as pen:
        follow(browser, pen)
        assert "untried" in row(browser, 0) and browser.text("#up") == "0", row(browser, 0)

        def after(known, shown):
            wait_until(f"pen knows that it is {known}", lambda: pen.state(0) == known)
            began = time.monotonic()
            wait_until(f"the page shows {shown}", lambda: shown in row(browser, 0))
            took.append(time.monotonic() - began)

        def visit_until(state):
            def come():
                pen.visit().close()
                return pen.state(0) == state

            wait_until(f"clients find the server {state}", come)

        visit_until("up")
        wait_until("both are up", lambda: browser.text("#up") == "2")
        for _ in range(3):
            server.refuse()
            visit_until("down")
            after("down", "next try in 59 min")
            assert browser.text("#up") == "1"
            server.listen()
            pen.ask("server 0 blacklist 0")
            visit_until("up")
            after("up", "up\nsince")
        log = browser.text("#events")
        assert log.count("→ down: Connection refused") == 3 and log.count("→ up") == 5, log
    # A busy machine may make one of them late.
    assert statistics.median(took) < 2, took
    return f"median {statistics.median(took):.2f} s, longest {max(took):.2f} s"


def test_it_counts_down_and_says_when_no_server_is_left(browser):
    with Pen("-b", "3600", servers=[server := Server()]) as pen:
        follow(browser, pen)
        wait_until("its title says how many are up", lambda: browser.run("return document.title").startswith("0 of 1 up · pen "))
        assert browser.text("#trouble") == ""
        server.refuse()
        try:
            pen.visit()
        except OSError:
            pass  # nobody took it
        wait_until("the page says that it is down", lambda: "next try in 59 min" in row(browser, 0))
        first = row(browser, 0)
        wait_until("the time left falls", lambda: row(browser, 0) != first)
        assert "No server is available" in browser.text("#trouble")
        pen.ask("server 0 address 0")
        wait_until("there is none", lambda: "No servers are configured" in browser.text("#trouble"))


def test_charts_move_under_load(browser):
    def lines():
        return browser.run("return [...document.querySelectorAll('.tiles path')].map(path => path.getAttribute('d'))")

    def highest():
        """The highest points of the lines of connections and bytes; 29 is 0."""
        return browser.run(
            """return ['fresh', 'moved'].flatMap(name => [...document.querySelectorAll(`#${name}-chart path:not(.area)`)])
               .filter(path => path.getAttribute('d'))
               .map(path => Math.min(...path.getAttribute('d').match(/[ML][^ML]+/g).map(point => +point.split(' ')[1])))"""
        )

    with Pen("-r", servers=[Server(), Server()]) as pen:
        follow(browser, pen)
        wait_until("the charts begin", lambda: lines()[1])
        assert highest() == [29, 29, 29], highest()
        with Load(pen):
            # What goes to the servers is little, in the same scale.
            wait_until("connections and answers rise", lambda: highest()[0] < 20 and highest()[2] < 20)
            before = lines()
            wait_until("they go on", lambda: lines() != before)
            wait_until("connections are counted", lambda: float(browser.text("#fresh").replace(",", "")) > 1)
            assert browser.text("#moved")[-4:] in ("kB/s", "MB/s"), browser.text("#moved")
            assert "kB" in row(browser, 0) or "MB" in row(browser, 0)
            wait_until("times of connects are shown", lambda: "99 %: " in row(browser, 0))
        wait_until("they fall again", lambda: browser.text("#fresh") == "0" and browser.text("#moved") == "0 B/s")
        total = pen.status()["totals"]["connects"]
        assert f"{total:,}" in browser.text("#totals"), browser.text("#totals")


def test_bars_show_connections_against_limits(browser):
    with Pen("-r", servers=[server := Server()]) as pen:
        pen.ask("server 0 max 4 hard 6")
        follow(browser, pen)
        clients = [pen.visit()]
        wait_until("one of four", lambda: "1 / 4 (6)" in row(browser, 0))
        bar = "return document.querySelector('#servers .bar i').getBoundingClientRect().width / document.querySelector('#servers .bar').offsetWidth"
        wait_until("a quarter of the bar", lambda: abs(browser.run(bar) - 0.25) < 0.01)
        clients += [pen.visit() for _ in range(3)]
        wait_until("it is full", lambda: "full" in row(browser, 0) and "4 / 4" in row(browser, 0))
        assert len(browser.elements("#connections tr")) == 4
        for client in clients:
            client.close()
        wait_until("they are gone", lambda: "up" in row(browser, 0) and "none" != browser.text("#used") == "0")
        assert server.port


def test_search_finds_clients_and_servers(browser):
    sources = [neighbour(n) for n in (201, 202, 253)]
    with Pen("-r", servers=[Server(), Server(), "192.0.2.7:1234"]) as pen:
        for source in sources:
            pen.visit(source=source).close()
        follow(browser, pen)

        def names(of):
            return browser.run("return [...document.querySelectorAll(arguments[0])].map(cell => cell.innerText)", f"#{of} .name")

        wait_until("all are there", lambda: set(names("clients")) >= set(sources))
        browser.type("#find-client", sources[2][-6:])
        wait_until("one is left", lambda: names("clients") == [sources[2]])
        browser.type("#find-client", "no such client")
        wait_until("none is left", lambda: names("clients") == [])
        browser.run("document.querySelector('#find-client').value = ''")
        browser.type("#find-server", "192.0.2.")
        wait_until("one server is left", lambda: names("servers") == ["192.0.2.7:1234"])
        pen.ask("server 1 blacklist 100")
        browser.type("#find-server", "drained")
        wait_until("the drained one is left", lambda: len(names("servers")) == 1 and "back in" in row(browser, 0))


def test_search_asks_for_all_clients(browser):
    """And not for those alone that are shown."""
    with Pen("-r", servers=[Server()]) as pen:
        for n in range(1, 121):
            pen.visit(source=neighbour(n)).close()
        follow(browser, pen)
        wait_until("100 are shown", lambda: browser.text("#clients-of").startswith("100 of 120, "))
        assert not browser.run("return [...document.querySelectorAll('#clients .name')].some(cell => cell.innerText === arguments[0])", neighbour(1))
        browser.type("#find-client", neighbour(1))
        # It is the beginning of others, too.
        wait_until("the first is found", lambda: browser.text("#clients-of").startswith("32 of 32 found"))
        browser.type("#find-client", neighbour(1) + "&")
        wait_until("nobody has a name like this", lambda: browser.text("#clients-of").startswith("0 of 0 found"))
        assert browser.text("#live") == "live"


def test_tables_are_sorted_by_a_click(browser):
    def column(of, number):
        return browser.run("return [...document.querySelectorAll(arguments[0])].map(cell => cell.innerText.split('\\n')[0])", f"#{of} td:nth-child({number})")

    def click(label):
        browser.click(f".servers th:nth-child({label}) button")
        return browser.run("return document.querySelector(arguments[0]).ariaSort", f".servers th:nth-child({label})")

    with Pen("-r", "-e", "192.0.2.9:9", servers=["192.0.2.20:80", "192.0.2.3:80", "192.0.2.100:80"]) as pen:
        follow(browser, pen)
        pen.ask("server 1 state drain")
        wait_until("one is drained", lambda: "drained" in row(browser, 1))
        assert column("servers", 1) == ["0", "1", "2", "emergency"]
        assert click(2) == "ascending"
        assert column("servers", 1) == ["1", "emergency", "0", "2"], "by number, not by letter"
        assert click(2) == "descending"
        assert column("servers", 1) == ["2", "0", "emergency", "1"]
        assert click(2) is None and column("servers", 1)[0] == "0"
        assert click(3) == "ascending" and column("servers", 1)[0] == "1", "by state"
        wait_until("it stays so", lambda: column("servers", 3)[0] == "drained")
        assert click(1) == "descending" and column("servers", 1) == ["emergency", "2", "1", "0"]
    with Pen("-r", servers=[Server()]) as pen:
        for n, count in ((7, 1), (8, 3), (9, 2)):
            for _ in range(count):
                pen.visit(source=neighbour(n)).close()
        follow(browser, pen)
        wait_until("three clients", lambda: len(column("clients", 1)) == 3)
        button = "table:has(#clients) th:nth-child(4) button"
        browser.click(button)
        assert column("clients", 4) == ["3", "2", "1"], column("clients", 4)
        browser.click(button)
        assert column("clients", 1) == [neighbour(n) for n in (7, 9, 8)]


def test_checks_are_shown(browser):
    """When and why a server went down, and what its last check found."""
    with Pen("-r", "-O", "check 1", servers=[Server(), down := Server()]) as pen:
        down.refuse()
        follow(browser, pen)
        wait_until("one is up", lambda: "up\nsince " in row(browser, 0) and "ok, " in row(browser, 0))
        wait_until("the other is down", lambda: "down\nsince " in row(browser, 1))
        text = row(browser, 1)
        for part in ("next check in", "Connection refused", "failed, ", " ago", "down 1 ×"):
            assert part in text, text
        assert "Connection refused" in browser.text("#events")
        since = text.split("since ")[1].split(",")[0]
        wait_until("it has been so for a while", lambda: pen.status()["servers"][1]["since"] >= 3)
        assert f"since {since}," in row(browser, 1), "the time stays"
        assert "check\n1 s" in browser.text("#settings") and "timeout\n3 s" in browser.text("#settings")
        assert "check_rise\n2" in browser.text("#settings")
        for width in (1250, 375):
            browser.size(width)
            hidden = browser.run("return [...document.querySelectorAll('#servers td:not(.spark)')].filter(cell => !cell.checkVisibility()).map(cell => cell.dataset.label)")
            assert not hidden, hidden
            wide = browser.run("return [...document.querySelectorAll('section, .scroll')].filter(box => box.scrollWidth > box.clientWidth).map(box => [box.scrollWidth, box.clientWidth, box.ariaLabel])")
            assert not wide, (width, wide)


def test_it_has_an_icon(browser):
    with Pen("-r", servers=[Server()]) as pen:
        follow(browser, pen)
        browser.run(
            """return new Promise((resolve, reject) => {
                 const image = new Image();
                 Object.assign(image, { onload: resolve, onerror: reject, src: document.querySelector("link[rel=icon]").href });
                 document.body.append(image);
               })"""
        )


def test_stale_data_is_said_and_it_comes_back(browser):
    with Pen(servers=[Server()]) as pen:
        follow(browser, pen)
        pen.freeze()
        wait_until("silence is said", lambda: "No answer from pen: it is silent" in browser.text("#stale"))
        assert browser.text("#live") == "not live"
        assert "The page shows what pen said at" in browser.text("#stale")
        assert browser.run("return document.title").startswith("no answer · 0 of 1 up")
        pen.thaw()
        wait_until("it is live again", lambda: browser.text("#live") == "live" and not browser.text("#stale"))
        assert browser.run("return document.title").startswith("0 of 1 up")
        pen.stop()
        wait_until("absence is said", lambda: "cannot be reached" in browser.text("#stale"))
        pen.start()
        wait_until("it follows the new one", lambda: browser.text("#live") == "live" and "started anew" in browser.text("#log"))
        assert str(pen.process.pid) in browser.text("#about")
        # Before that nobody answered, as was to be.
        left = [text for text in browser.complaints() if "status.json" not in text]
        assert not left, left


def test_it_says_what_it_needs_without_scripts(browser):
    with Pen("-r", servers=[Server()]) as pen:
        browser.scripts(False)
        try:
            browser.open(pen.url)
        finally:
            browser.scripts(True)
        assert "needs JavaScript" in browser.text("body"), browser.text("body")
        assert browser.elements("noscript a[href='status.json']")
        assert not browser.run("return document.querySelector('#main').checkVisibility()")


def test_names_are_text(browser):
    name = "/tmp/<img/src=x/onerror=alert(1)>&amp;'\"</script><b>"
    with Pen("-r", servers=[Server(), name]) as pen:
        follow(browser, pen)
        assert browser.text("#servers tr:nth-child(2) .name") == name
        assert not browser.elements("img") and not browser.elements("b b")


def test_nothing_else_may_run(browser):
    with Pen(servers=[Server()]) as pen:
        follow(browser, pen)
        broken = browser.run(
            """return new Promise(resolve => {
                 const seen = new Set();
                 document.addEventListener('securitypolicyviolation', event => {
                   seen.add(event.effectiveDirective);
                   if (seen.size === 3) resolve([...seen].sort());
                 });
                 const script = document.createElement('script');
                 script.textContent = 'window.evil = 1';
                 const style = document.createElement('style');
                 style.textContent = 'body { display: none }';
                 const image = document.createElement('img');
                 image.src = 'http://127.0.0.1:9/';
                 document.body.append(script, style, image);
               })"""
        )
        assert broken == ["img-src", "script-src-elem", "style-src-elem"], broken
        assert browser.run("return window.evil") is None
        assert len(browser.complaints()) >= 3


def test_it_fits_any_number_of_servers_and_narrow_screens(browser):
    crowd = [f"192.0.2.{n}:80" for n in range(1, 195)] + ["[2001:db8:85a3:1:2:8a2e:370:7334]:65535"] * 3
    crowd += ["/run/a-directory-with-a-long-name/and-another-one/a-socket-with-a-name-longer-than-that.sock"] * 3
    for servers in ([], crowd[-3:-1], crowd[:12], crowd):
        with Pen("-r", *([] if servers else ["-O", "dummy"]), servers=servers or ["0:0"]) as pen:
            follow(browser, pen)
            for width in (NARROW, 700, 1000, 1280, 1900):
                browser.size(width)
                wide = browser.run("return document.documentElement.scrollWidth")
                assert wide <= width, f"{len(servers)} servers need {wide} pixels of {width}"
            assert len(browser.elements("#servers tr")) == max(1, len(servers))


def test_texts_have_contrast(browser):
    """At least 4.5 to 1, as WCAG 2 wants it for small text."""
    script = """
        const light = text => {
          const [r, g, b] = text.match(/[\\d.]+/g).map(n => n / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = node => {
          for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if (!colour.endsWith(', 0)')) return colour;
          }
        };
        return [...document.querySelectorAll('body *')]
          .filter(node => node.checkVisibility() && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
          .map(node => {
            const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
            return [(a + 0.05) / (b + 0.05), node.outerHTML];
          }).sort((a, b) => a[0] - b[0])"""
    with Pen("-r", "-b", "3600", servers=[Server(), down := Server(), Server(), Server(), "0:0", Server()]) as pen:
        down.refuse()
        pen.ask("server 2 blacklist 3600")
        pen.ask("server 3 max 1")
        pen.ask("server 5 state maint")
        # In turn: each of the servers that take clients gets one.
        clients = [pen.visit() for _ in range(4)]
        wanted = ["up", "down", "drained", "full", "empty", "maint"]
        wait_until("there is a server of each state", lambda: [pen.state(n) for n in range(6)] == wanted)
        lowest = {}
        for theme in ("light", "dark"):
            browser.theme(theme)
            follow(browser, pen)
            browser.click("#servers button")
            ratios = browser.run(script)
            assert len(ratios) > 60, len(ratios)
            assert ratios[0][0] >= 4.5, ratios[0]
            lowest[theme] = ratios[0][0]
        browser.theme("light")
        for client in clients:
            client.close()
    return ", ".join(f"lowest in {theme} {ratio:.1f}" for theme, ratio in lowest.items())


def test_everything_has_a_name(browser):
    with Pen("-r", servers=[Server()]) as pen:
        with pen.visit():
            follow(browser, pen)
            wait_until("a connection is shown", lambda: browser.elements("#connections button"))


            def check(where, least):
                things = browser.elements(", ".join(f"{where} {what}" for what in ("button:not([hidden])", "input", "a", "[tabindex]")))
                assert len(things) >= least, len(things)
                nameless = [browser.markup(thing) for thing in things if not browser.name(thing)]
                assert not nameless, nameless

            check("main", 20)
            browser.click("#add")  # what is behind the dialog has no names then
            check("dialog", 10)
            assert browser.name(browser.element("dialog")) == "Server 1"
