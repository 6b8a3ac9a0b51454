"""pen, servers for it, and clients: all on loopback addresses and ports of
their own, all ended by whom started them."""

import base64
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from webdriver import wait_until

USER, PASSWORD = "admin", "correct horse: battery \u00e9"

def claim():
    """A loopback address of this run's own, as pen's listeners share ports
    (SO_REUSEPORT). The suite's tests claim theirs by the same port."""
    while True:
        host = f"127.{random.randrange(50, 250)}.{random.randrange(256)}.{random.randrange(100, 200)}"
        lock = socket.socket()
        try:
            lock.bind((host, 20000))
            return host, lock
        except OSError:
            lock.close()


HOST, CLAIM = claim()


def free_port():
    """A port of this run's address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server:
    """Answers each line, a number, with so many bytes."""

    def __init__(self):
        self.socket = None
        self.port = 0
        self.open = set()
        self.refuse()
        self.listen()

    def refuse(self):
        """Goes down; the port stays taken, so that nobody else gets it."""
        if self.socket:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept, too
            self.socket.close()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((HOST, self.port))
        self.port = self.socket.getsockname()[1]
        for client in list(self.open):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone by itself

    def listen(self):
        self.socket.listen(256)
        threading.Thread(target=self._serve, args=(self.socket,), daemon=True).start()

    def _serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client):
        self.open.add(client)
        try:
            with client, client.makefile("rb") as lines:
                for line in lines:
                    client.sendall(b"x" * int(line))
        except OSError:
            pass
        self.open.discard(client)

    @property
    def operand(self):
        return f"{HOST}:{self.port}"


class Pen:
    """A running pen with a web port. `password`: whether there is one."""

    def __init__(self, *arguments, password=True, servers=()):
        self.directory = tempfile.TemporaryDirectory(prefix="pen-browser-")
        directory = Path(self.directory.name)
        self.control_path = str(directory / "control")
        self.port, self.web_port = free_port(), free_port()
        self.web = f"{HOST}:{self.web_port}"
        words = [os.environ.get("PEN", "target/debug/pen"), "-f", "-C", self.control_path, "--web", self.web, *arguments]
        if os.geteuid() == 0:
            words += ["-u", "root"]  # else root gets neither of these ports
        self.password = f"{USER}:{PASSWORD}" if password else None
        if password:
            file = directory / "password"
            file.touch(mode=0o600)
            file.write_text(self.password + "\n")
            words += ["-O", f"web_password {file}"]
        words.append(f"{HOST}:{self.port}")
        self.words = words + [s.operand if isinstance(s, Server) else s for s in servers]
        self.said = open(directory / "messages", "w+b")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.words, stderr=self.said, stdout=self.said)

        def is_up():
            if self.process.poll() is not None:
                raise AssertionError(f"pen ended at its start: {self.messages()}")
            try:
                return self.status()
            except ConnectionRefusedError:
                return None

        wait_until("pen starts", is_up)

    def messages(self):
        return Path(self.said.name).read_text(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        status = self.process.wait()
        if status != 0:
            raise AssertionError(f"pen ended with {status}: {self.messages()}")

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.said.close()
        self.directory.cleanup()

    @property
    def url(self):
        """With the password, as a browser without a user wants it."""
        name = f"{quote(USER)}:{quote(PASSWORD)}@" if self.password else ""
        return f"http://{name}{self.web}/"

    def request(self, method, path, body=None, password=True, **headers):
        """Status and body of what the web port answers."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if password is True:
            password = self.password
        if password:
            fields["Authorization"] = basic(password)
        connection = http.client.HTTPConnection(HOST, self.web_port, timeout=30)
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def status(self):
        status, text = self.request("GET", "/status.json")
        assert status == 200, (status, text)
        return json.loads(text)

    def state(self, index):
        return self.status()["servers"][index]["state"]

    def ask(self, line):
        """The control port's reply."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(self.control_path)
            control.sendall(line.encode() + b"\n")
            with control.makefile() as reply:
                return reply.read()

    def visit(self, size=10, source=HOST):
        """A client's connection, which has got its answer and stays open."""
        client = socket.create_connection((HOST, self.port), 30, (source, 0))
        client.sendall(f"{size}\n".encode())
        while size > 0:
            got = client.recv(65536)
            if not got:
                client.close()
                raise ConnectionResetError("pen closed the connection")
            size -= len(got)
        return client


def basic(password):
    """As a header has it."""
    return "Basic " + base64.b64encode(password.encode()).decode()


def quote(text):
    """For the user part of a URL."""
    return "".join(c if c.isalnum() and c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


def neighbour(n):
    """Another loopback address, for clients."""
    return HOST.rsplit(".", 1)[0] + f".{n}"


class Load:
    """Clients of a few addresses that come and go until it ends."""

    def __init__(self, pen, threads=4, size=20000):
        self.going = True
        self.threads = [threading.Thread(target=self._work, args=(pen, size)) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self, pen, size):
        while self.going:
            try:
                pen.visit(size, neighbour(random.randrange(1, 40))).close()
            except OSError:
                pass  # its server went down

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.going = False
        for thread in self.threads:
            thread.join()
