"""Load of every kind on one route, all at once; every wrong answer is recorded."""

import base64
import http.client
import itertools
import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
WITHIN = 30


class NotSent(Exception):
    """The connection was closed before the other side took the request from it."""


class Load:
    """Clients that go on until they are stopped. `answered` and `failures` count by kind of client."""

    def __init__(self, path: str, port: int = 80) -> None:
        self.path = path
        self.port = port
        self.answered: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.posted = itertools.count(1)
        self.posts_answered: set[int] = set()
        self.posts_not_sent: set[int] = set()
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        kinds: list[tuple[str, Callable[[], None]]] = [
            ("keep-alive", self._keep_alive),
            ("keep-alive", self._keep_alive),
            ("new connection", lambda: self._once("GET", "hello")),
            ("new connection", lambda: self._once("GET", "hello")),
            ("slow", lambda: self._once("GET", "slow?seconds=2")),
            ("slow", lambda: self._once("GET", "slow?seconds=2")),
            ("post", self._posts),
            ("websocket", self._websocket),
            ("events", self._events),
        ]
        threads = [threading.Thread(target=self._repeat, args=kind) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(WITHIN)

    def has_answered(self, **counts: int) -> Callable[[], bool]:
        """A condition: at least so many answers to each kind of client."""

        def check() -> bool:
            assert all(self.answered[kind] >= count for kind, count in counts.items()), (self.answered, self.failures)
            return True

        return check

    def _repeat(self, kind: str, ask: Callable[[], None]) -> None:
        while not self._over.wait(0.005):
            try:
                ask()
                self.answered[kind] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures[f"{kind}: {type(error).__name__} {error} at {time.strftime('%X')}"] += 1

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.port, timeout=WITHIN)

    def _keep_alive(self) -> None:
        """A connection that a client keeps for a while."""
        connection = self._connect()
        try:
            for _ in range(50):
                self._ask(connection, "GET", "hello")
                self.answered["keep-alive"] += 1
                if self._over.wait(0.005):
                    break
        finally:
            connection.close()

    def _once(self, method: str, target: str) -> None:
        connection = self._connect()
        try:
            self._ask(connection, method, target)
        finally:
            connection.close()

    def _posts(self) -> None:
        connection = self._connect()
        try:
            for _ in range(50):
                number = next(self.posted)
                try:
                    self._ask(connection, "POST", "post", {"X-Id": str(number)})
                except NotSent:
                    self.posts_not_sent.add(number)
                    continue
                self.posts_answered.add(number)
                self.answered["post"] += 1
                if self._over.wait(0.005):
                    break
        finally:
            connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str] | None = None
    ) -> None:
        """As every client does that keeps connections: one that the other side has closed is opened anew, and when that
        happens in the moment of asking, a GET is asked again (RFC 9112, 9.3.1)."""
        is_kept = connection.sock is not None
        if is_kept and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
        connection.request(method, f"{self.path}/{target}", headers=headers or {})
        try:
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError):
            if not is_kept:
                raise
            connection.close()
            if method != "GET":
                raise NotSent from None
            self._ask(connection, method, target, headers)
            return
        text = answer.read()
        assert answer.status == 200, f"{answer.status} {text[:60]!r}"

    def _websocket(self) -> None:
        """Speaks until the other side says that it goes away; anything else is a failure."""
        with socket.create_connection((HOST, self.port), WITHIN) as connection:
            key = base64.b64encode(os.urandom(16)).decode()
            connection.sendall(
                f"GET {self.path}/websocket HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            stream = connection.makefile("rb")
            assert b" 101 " in stream.readline(), "no upgrade"
            while stream.readline() not in (b"\r\n", b""):
                pass
            while not self._over.wait(0.05):
                connection.sendall(b"\x81\x82\0\0\0\0hi")
                head = stream.read(2)
                if head[:1] == b"\x88":
                    return
                assert head == b"\x81\x02", f"{head!r} instead of an echo"
                assert stream.read(2) == b"hi", "no echo"
                self.answered["websocket"] += 1

    def _events(self) -> None:
        """Listens until the other side has told everything."""
        connection = self._connect()
        try:
            connection.request("GET", f"{self.path}/events")
            answer = connection.getresponse()
            assert answer.status == 200, str(answer.status)
            for expected in itertools.count():
                line = answer.readline()
                if not line or self._over.is_set():
                    return
                assert line == f"data: {expected}\n".encode(), f"{line!r} instead of event {expected}"
                answer.readline()
                self.answered["events"] += 1
        finally:
            connection.close()
