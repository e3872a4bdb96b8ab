"""A real controller as a process, and what a client sees of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import psutil
from support import eventually, free_port


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Controller:
    """`flowproxy serve` as a process, with a state folder that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.traffic, self.port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self.log = folder.parent / "log"

    def start(self, *arguments: str, **environment: str) -> Controller:
        self.launch(*arguments, **environment)
        eventually(lambda: self.api("/v1/status").json["ready"])
        return self

    def launch(self, *arguments: str, **environment: str) -> None:
        """Without waiting for it to be ready."""
        self.environment = {
            "DEFAULT_PORTS": str(self.traffic),
            "PORT": str(self.port),
            "FLOWPROXY_STATE_DIR": str(self.folder),
            "FLOWPROXY_SWARM": "off",
            "FLOWPROXY_CERTS": str(self.folder.parent / "certs"),
            **environment,
        }
        inherited = {"PATH": os.environ["PATH"]}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flowproxy", "serve", *arguments],
                env=inherited | self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def api(self, path: str, method: str = "GET", **query: str) -> Answer:
        return fetch(self.port, f"{path}?{urlencode(query)}" if query else path, method=method)

    def reconfigure(self, name: str, **parameters: str) -> Answer:
        given = {key.replace("_", "."): value for key, value in parameters.items()}
        return self.api("/v1/docker-flow-proxy/reconfigure", serviceName=name, **given)

    def get(self, path: str, host: str = "localhost", **headers: str) -> Answer:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return fetch(self.traffic, path, headers={"Host": host, **sent})

    @property
    def status(self) -> Any:
        return self.api("/v1/status").json

    def signal(self, number: int) -> int:
        """Sends a signal and returns the exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def end(self) -> None:
        """Also ends a HAProxy that outlived its controller."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder) in " ".join(process.info["cmdline"] or []):
                process.kill()


def fetch(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
    finally:
        connection.close()


class Origin(NamedTuple):
    port: int
    release: threading.Event
    asked: threading.Event
