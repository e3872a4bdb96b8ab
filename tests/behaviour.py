"""A way to write down what clients see: services, what is asked, what comes back."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from controller import Answer, Tls, fetch

Parameters = dict[str, str]


class Behaviour(NamedTuple):
    """`services` are registered in their order, each with origin A on its port and 127.0.0.1 as its host unless it says
    otherwise; `{A}`, `{B}`, `{http}`, `{other}` and `{tls}` in values are ports.

    `asked` are requests, `[METHOD ][http:|https:|other:][//host]path[ | Name: value]...`, and what comes back: the name
    of the origin that answered, or the status; and more that must be in the answer, or with `not` must not: the path
    that the origin saw, a header `name: value` that it saw or that came back, the address of a redirect.
    """

    title: str
    services: dict[str, Parameters]
    asked: dict[str, str]
    statuses: Mapping[str, int] = MappingProxyType({})


class Proxy:
    """A controller with its origins, that services are registered with and taken from again."""

    def __init__(self, controller: Tls, ports: Mapping[str, int]) -> None:
        self.controller = controller
        self._ports = {**ports, "http": controller.traffic, "tls": controller.tls}

    def put(self, name: str, given: Parameters) -> Answer:
        whole = {"port": "{A}", "outboundHostname": "127.0.0.1", **given}
        filled = {key: self._filled(value) for key, value in whole.items() if value}
        return self.controller.api("/v1/docker-flow-proxy/reconfigure", serviceName=name, **filled)

    def remove(self, name: str) -> Answer:
        return self.controller.api("/v1/docker-flow-proxy/remove", serviceName=name)

    def seen(self, request: str) -> Answer:
        line, *headers = request.split(" | ")
        method, _, address = line.rpartition(" ")
        scheme, colon, rest = address.partition(":")
        if not colon or "/" in scheme:
            scheme, rest = "http", address
        host, path = "localhost", rest
        if rest.startswith("//"):
            host, slash, path = rest[2:].partition("/")
            path = slash + path
        sent = {"Host": self._filled(host)}
        sent |= {name: value for name, _, value in (header.partition(": ") for header in headers)}
        if scheme == "https":
            return self.controller.get_tls(path, host, method or "GET", sent)
        return fetch(self._ports[scheme], path, method or "GET", sent)

    def matches(self, request: str, expected: str) -> str | None:
        """What is wrong with the answer; None when it is as expected."""
        answer = self.seen(request)
        first, *others = self._filled(expected).split(" & ")
        got = str(answer.status) if first.isdigit() or answer.status != 200 else answer.text.split()[0]
        said = f"{answer.text}\n" + "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        wrong = [
            text for text in others if (text.removeprefix("not ").lower() in said.lower()) == text.startswith("not ")
        ]
        return f"{request}: {got} instead of {expected}: {said[:600]}" if got != first or wrong else None

    def encoding(self, path: str) -> str | None:
        """Return how the body is encoded for a client that takes gzip."""
        connection = http.client.HTTPConnection("127.0.0.1", self.controller.traffic, timeout=10)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body, found = answer.read(), answer.getheader("Content-Encoding")
        connection.close()
        assert (gzip.decompress(body) if found else body).decode().split()[1] == path
        return found

    def _filled(self, text: str) -> str:
        for name, port in self._ports.items():
            text = text.replace(f"{{{name}}}", str(port))
        return text


def check(proxy: Proxy, behaviour: Behaviour) -> None:
    """Registers, and asks."""
    for name, given in behaviour.services.items():
        answer = proxy.put(name, given)
        assert answer.status == behaviour.statuses.get(name, 200), answer.text
    found = [proxy.matches(request, expected) for request, expected in behaviour.asked.items()]
    if wrong := list(filter(None, found)):
        raise AssertionError("\n".join(wrong))


def title(value: object) -> str:
    """Name a behaviour in the name of its test."""
    return value.title if isinstance(value, Behaviour) else "with"


def demo(**parameters: str) -> dict[str, Parameters]:
    """Describe one service, on /demo unless it says otherwise."""
    return {"svc": at(**parameters)}


def at(path: str = "/demo", **parameters: str) -> Parameters:
    """Describe what is given for a service; `_` in names of parameters is a dot."""
    return {"servicePath": path, **{key.replace("_", "."): value for key, value in parameters.items()}}
