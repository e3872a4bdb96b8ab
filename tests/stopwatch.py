"""Clients that write down how long each request took, for tests of what a death costs."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

KINDS = ("GET", "GET, kept connection", "POST", "POST, kept connection")
_WITHIN_S = 90
_PAUSE_S = 0.01
_PER_CONNECTION = 50  # requests of a client that keeps its connection


class Asked(NamedTuple):
    """One request. `began` is by time.monotonic(); `result` is the status, or what broke."""

    kind: str
    number: int
    began: float
    duration_s: float
    result: str

    @property
    def failed(self) -> bool:
        return self.result != "200"


class Stopwatch:
    """Clients of every kind that ask for `path` from entering to leaving, and repeat nothing by themselves.

    A GET goes to `path`/hello; a POST to `path`/post with its number in `X-Id`. Numbers begin with `first`.
    """

    def __init__(self, host: str, port: int, path: str, clients_per_kind: int = 2, first: int = 1) -> None:
        self._address = (host, port)
        self._path = path
        self._clients = clients_per_kind
        self._numbers = itertools.count(first)
        self._over = threading.Event()
        self.asked: list[Asked] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        clients = [threading.Thread(target=self._repeat, args=(kind,)) for kind in KINDS * self._clients]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._over.set()
            for client in clients:
                client.join(_WITHIN_S)

    def has_asked(self, count: int, since: float) -> Callable[[], bool]:
        """Return a condition: so many requests of each kind began since then and have ended."""

        def check() -> bool:
            ended = [asked.kind for asked in list(self.asked) if asked.began >= since]
            return all(ended.count(kind) >= count for kind in KINDS)

        return check

    def failures(self, kinds: Collection[str] = KINDS) -> list[Asked]:
        return [asked for asked in self.asked if asked.failed and asked.kind in kinds]

    def slow(self, over_s: float, since: float = 0.0, kinds: Collection[str] = KINDS) -> list[Asked]:
        """Return what took longer than `over_s` seconds, of the requests that began since then."""
        return [a for a in self.asked if a.duration_s > over_s and a.began >= since and a.kind in kinds]

    def summary(self, since: float) -> str:
        """Return one line of figures, of the requests that began since then."""
        asked = [a for a in self.asked if a.began >= since]
        slow = [a for a in asked if a.duration_s > 0.5]
        last = max((a.began + a.duration_s - since for a in slow), default=0.0)
        gets = [a.duration_s for a in asked if a.kind.startswith("GET")]
        return (
            f"{len(asked)} requests, {len(slow)} over 0.5 s, the last of them ended after {last:.1f} s;"
            f" longest GET {max(gets):.2f} s; failed: {[f'{a.kind} {a.result}' for a in asked if a.failed]}"
        )

    def _repeat(self, kind: str) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection(*self._address, timeout=_WITHIN_S)
            for _ in range(_PER_CONNECTION if kind.endswith("kept connection") else 1):
                if self._over.wait(_PAUSE_S) or not self._ask(connection, kind):
                    break
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, kind: str) -> bool:
        """Return whether the connection can be used again."""
        number, began = next(self._numbers), time.monotonic()
        method, target = ("GET", "hello") if kind.startswith("GET") else ("POST", "post")
        try:
            connection.request(method, f"{self._path}/{target}", headers={"X-Id": str(number)})
            answer = connection.getresponse()
            answer.read()
            result, lasting = str(answer.status), not answer.will_close
        except (OSError, http.client.HTTPException) as error:
            result, lasting = repr(error), False
        self.asked.append(Asked(kind, number, began, time.monotonic() - began, result))
        return lasting
