"""HTTP to what runs on the Swarm: every call is one connection, and an error status is an answer too."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


def get(url: str, headers: Mapping[str, str] | None = None, within: float = 5) -> Answer:
    """No proxies, no redirects, no retries; whatever breaks is an OSError."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=within)
    try:
        connection.request("GET", target, headers=dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read().decode())
    except http.client.HTTPException as error:
        raise ConnectionError(f"{url}: {error!r}") from error
    finally:
        connection.close()


def answers(url: str, status: int = 200, text: str = "") -> Callable[[], Answer]:
    """A condition for eventually(): the address answers with this status, and with this in its body."""

    def check() -> Answer:
        answer = get(url)
        assert answer.status == status, f"{url}: {answer.status}, not {status}: {answer.text[:500]}"
        assert text in answer.text, f"{url}: without {text!r}: {answer.text[:500]}"
        return answer

    return check


@dataclass
class Clients:
    """Clients that ask without a pause, from entering to leaving; every answer but 200 is a failure."""

    url: str
    count: int = 2
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _ask(self) -> None:
        deadline = time.monotonic() + 60
        while not self._over.wait(0.002) and time.monotonic() < deadline:
            try:
                answer = get(self.url)
            except OSError as error:
                self.failures.append(repr(error))
            else:
                self.answered += 1
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {answer.text[:80]}")


def refused(port: int) -> bool:
    """Whether nobody listens on this port of the machine."""
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.1", port)) != 0


def require_free(*ports: int) -> None:
    """Tests that publish ports say so when somebody else has them."""
    taken = ", ".join(str(port) for port in ports if not refused(port))
    assert not taken, f"port {taken} of 127.0.0.1 is taken: stop what listens there, these tests publish it"
