"""As much of a Docker daemon as a controller asks of one: services, tasks and nodes that a test makes up."""

from __future__ import annotations

import contextlib
import json
import queue
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
        self.tasks: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = []
        self.forbidden: set[str] = set()  # kinds that are not to be listed
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
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

    def run_task(self, service: str, node: str, address: str) -> None:
        """Adds a running task of a service that was put, on a node; `address` has a prefix length."""
        [identity] = [item["ID"] for item in self.services if item["Spec"]["Name"] == service]
        network = {"Network": {"Spec": {"Name": "proxy"}}, "Addresses": [address]}
        task = {"ID": f"t{len(self.tasks)}", "ServiceID": identity, "Slot": len(self.tasks), "NodeID": node}
        running = {"Status": {"State": "running"}, "DesiredState": "running", "NetworksAttachments": [network]}
        self.tasks.append(task | running)

    def run(self, name: str, address: str) -> None:
        """Has the one task of a service run at an address of 127.0.0.0/8, which is a network of every machine."""
        [identity] = [item["ID"] for item in self.services if item["Spec"]["Name"] == name]
        self.tasks = [task for task in self.tasks if task["ServiceID"] != identity]
        self.run_task(name, "here", f"{address}/8")
        self.tasks[-1]["ID"] = f"task-{address}"

    def set_nodes(self, **states: str) -> None:
        """Lists these nodes with their states, and sends an event that one has changed."""
        self.nodes = [{"ID": name, "Status": {"State": state}} for name, state in states.items()]
        self.events.put({"Type": "node", "Action": "update", "Actor": {"ID": next(iter(states))}})

    def set_reachability(self, **managers: str) -> None:
        """Lists these managers, which are ready, as the others reach them. Docker sends no event of it."""
        self.nodes = [
            {"ID": name, "Status": {"State": "ready"}, "ManagerStatus": {"Reachability": reachability}}
            for name, reachability in managers.items()
        ]

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
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind = self.path.partition("?")[0].rpartition("/")[2]
            self.send_response(403 if kind in daemon.forbidden else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            if kind == "events":
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if kind in daemon.forbidden:
                self.wfile.write(b'{"message": "forbidden"}')
                return
            if kind == "events":
                self._send_events()
                return
            daemon.answering.wait(60)
            listed = {"services": daemon.services, "tasks": daemon.tasks, "nodes": daemon.nodes}
            with contextlib.suppress(OSError):  # the controller may have ended meanwhile
                self.wfile.write(json.dumps(listed.get(kind, [])).encode())

        def _send_events(self) -> None:
            self.wfile.flush()
            while not daemon.ended.is_set():
                with contextlib.suppress(queue.Empty):
                    event = json.dumps(daemon.events.get(timeout=0.1)).encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                    self.wfile.flush()

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
