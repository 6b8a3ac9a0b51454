"""A browser, by way of chromedriver: https://www.w3.org/TR/webdriver2/, and
its own commands for what that has not (console, emulation)."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PATIENCE = 30  # seconds for what takes moments on an idle machine

# Without most of these it looks for the network, or for a sandbox that root
# cannot have.
ARGUMENTS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --hide-scrollbars --window-size=1280,900""".split()

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's key for one


def missing():
    """The programs that are needed and not there."""
    return [name for name in ("chromium", "chromedriver") if not shutil.which(name)]


def wait_until(what, condition, patience=PATIENCE):
    """Waits for it to be true; gives what it then is."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain: {what}")
        time.sleep(0.05)


class Refused(Exception):
    """The driver says no."""


class Browser:
    """One chromium with a profile of its own."""

    def __init__(self, *arguments):
        self.profile = tempfile.mkdtemp(prefix="pen-browser-")
        # The driver chooses a port and says which. A signal for all of this
        # process's group is not for it: it has to end the browser.
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        self.session = None
        try:
            self._start(arguments)
        except BaseException:
            self.close()
            raise

    def _start(self, arguments):
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.base = "http://127.0.0.1:" + line.split()[-1].rstrip(".")
                break
        else:
            raise AssertionError("chromedriver does not start")
        options = {"args": [*ARGUMENTS, f"--user-data-dir={self.profile}", *arguments], "binary": shutil.which("chromium")}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": 1000 * PATIENCE, "pageLoad": 1000 * PATIENCE},
        }
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"
        self.version = made["capabilities"]["browserVersion"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the browser and its driver, and nothing else."""
        try:
            if self.session:
                self._send("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=2 * PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise Refused(f"{value['error']}: {value['message']}") from None

    def post(self, path, **body):
        return self._send("POST", self.session + path, body)

    def get(self, path):
        return self._send("GET", self.session + path)

    def command(self, name, **parameters):
        """Of the Chrome DevTools Protocol."""
        return self.post("/goog/cdp/execute", cmd=name, params=parameters)

    def open(self, url):
        self.post("/url", url=url)

    def run(self, script, *arguments):
        """Carries out a function's body in the page; promises are waited for."""
        return self.post("/execute/sync", script=script, args=list(arguments))

    def text(self, selector):
        """An element's text as it is shown; none if there is no such element."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def element(self, selector):
        return self.post("/element", using="css selector", value=selector)[ELEMENT]

    def elements(self, selector):
        return [found[ELEMENT] for found in self.post("/elements", using="css selector", value=selector)]

    def click(self, selector):
        """As a mouse does: fails if something is in front of it."""
        self.post(f"/element/{self.element(selector)}/click")

    def type(self, selector, text):
        """In the place of what is there."""
        element = self.element(selector)
        self.post(f"/element/{element}/clear")
        self.post(f"/element/{element}/value", text=text)

    def keys(self, *keys):
        """Pressed and let go one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def name(self, element):
        """What a screen reader calls it."""
        return self.get(f"/element/{element}/computedlabel")

    def markup(self, element):
        return self.run("return arguments[0].outerHTML", {ELEMENT: element})

    def size(self, width, height=900):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def theme(self, name):
        """`light` or `dark`."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def scripts(self, on):
        self.command("Emulation.setScriptExecutionDisabled", value=not on)

    def complaints(self):
        """What the console got since the last time: errors, violated policies."""
        return [entry["message"] for entry in self.post("/se/log", type="browser")]

    def picture(self, path):
        size = self.command("Page.getLayoutMetrics")["cssLayoutViewport"]
        clip = {"x": 0, "y": 0, "width": size["clientWidth"], "height": size["clientHeight"], "scale": 1}
        png = self.command("Page.captureScreenshot", clip=clip, optimizeForSpeed=False)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(png))
