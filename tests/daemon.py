"""As much of a Docker daemon as a controller asks of one: services and tasks that a test makes up."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "1.41"


class Daemon:
    """Lists the services that were put; the first is the oldest."""

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.answering = threading.Event()  # cleared, a listing waits for it
        self.answering.set()
        self.ended = threading.Event()
        self.port = 0

    def put(self, name: str, stack: str = "", **labels: str) -> None:
        """Creates a service; in names of labels `__` is a dot."""
        dotted = {f"com.df.{key.replace('__', '.')}": value for key, value in labels.items()}
        namespace = {"com.docker.stack.namespace": stack} if stack else {}
        spec = {"Name": name, "Labels": {"com.df.notify": "true", **dotted, **namespace}}
        created = f"2026-01-02T03:04:{len(self.services):02}.0Z"
        spec["Mode"] = {"Replicated": {"Replicas": 1}}
        self.services.append({"ID": f"id{len(self.services)}", "CreatedAt": created, "Spec": spec})

    def run(self, name: str, address: str) -> None:
        """Has the one task of a service run at an address of 127.0.0.0/8, which is a network of every machine."""
        service = next(item["ID"] for item in self.services if item["Spec"]["Name"] == name)
        attached = [{"Addresses": [f"{address}/8"]}]
        task = {"ServiceID": service, "Slot": 1, "DesiredState": "running", "Status": {"State": "running"}}
        self.tasks[name] = task | {"ID": f"task-{address}", "NetworksAttachments": attached}

    @property
    def environment(self) -> dict[str, str]:
        """What leads a controller to it."""
        address = f"tcp://127.0.0.1:{self.port}"
        return {"FLOWPROXY_SWARM": "on", "DOCKER_HOST": address, "DOCKER_API_VERSION": VERSION}


@contextmanager
def daemons() -> Iterator[Daemon]:
    """A daemon that listens, until the end."""
    daemon = Daemon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = self.path.partition("?")[0].rpartition("/")[2]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if kind == "events":  # nothing ever happens
                self.wfile.flush()
                daemon.ended.wait(60)
                return
            daemon.answering.wait(60)
            listed = {"services": daemon.services, "tasks": list(daemon.tasks.values())}
            with contextlib.suppress(OSError):  # the controller may have ended meanwhile
                self.wfile.write(json.dumps(listed.get(kind, [])).encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    daemon.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield daemon
    finally:
        daemon.ended.set()
        daemon.answering.set()
        server.shutdown()
        server.server_close()
