"""The complete input of HAProxy as values: haproxy.cfg, maps, lists, certificates and error pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from flowproxy.errors import Rejected
from flowproxy.rendering.parts import Part, Text, joined
from flowproxy.rendering.sections import Section
from flowproxy.rendering.servers import Server
from flowproxy.rendering.spares import spares_for

CRT_LIST = "crt-list.txt"
_IN_MAP = re.compile(r'[!"$-~]+')  # what is printed, without # and spaces


@dataclass(frozen=True)
class Configuration:
    """Everything HAProxy is given. The skeleton is all but servers, map entries and certificates.

    `lists` are files of values that the head names, each by a digest of its content. `blocks` are the texts of sections
    with their servers. `fixed` are the backends that the head names, which no other can stand in for; `plain` is the
    shape of a backend that asks for nothing. `parts` are the lines of the head that are there for a service.
    """

    head: str
    pages: Mapping[str, bytes]
    sections: Mapping[str, Section]
    servers: Mapping[str, tuple[Server, ...]]
    maps: Mapping[str, Mapping[str, str]]
    certificates: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    blocks: Mapping[str, str] = field(default_factory=dict, compare=False)
    fixed: frozenset[str] = frozenset()
    plain: str | None = None
    lists: Mapping[str, bytes] = field(default_factory=dict, compare=False)
    parts: tuple[Part, ...] = field(default=(), compare=False)

    @cached_property
    def digest(self) -> str:
        """Return a digest of the skeleton and the certificates, in order. HAProxy repeats it in `show info`, which
        proves what a worker was started with."""
        digest = hashlib.sha256(self.head.encode())
        for name, page in self.pages.items():
            digest.update(name.encode() + page)
        for _, section in sorted(self.sections.items()):
            digest.update(section.text.encode() + section.server_options.encode())
        for name, pem in self.certificates.items():
            digest.update(name.encode() + pem.encode())
        return digest.hexdigest()[:32]

    @cached_property
    def spares(self) -> Mapping[str, Section]:
        """Backends without servers, for services to come."""
        return spares_for(self.sections, self.plain)

    def text(self, *, spares: bool = True) -> str:
        """Return haproxy.cfg; for a check, the spares can be left out."""
        return "\n".join(text for text, _ in self._pieces(spares=spares))

    def with_services(self, *, spares: bool = True) -> Text:
        """Return haproxy.cfg with the service that each of its lines belongs to."""
        return joined(Text(text, self._parts(text, owner)) for text, owner in self._pieces(spares=spares))

    def _pieces(self, *, spares: bool) -> Iterable[tuple[str, str | None]]:
        """Yield the texts of haproxy.cfg, each with its service: empty without one, None for the head, whose lines
        belong to several."""
        yield "# Written by Flowproxy; a change by hand is lost.", ""
        yield f"global\n    description {self.digest}\n", ""
        yield f"{self.head.rstrip()}\n", None
        for name, block in sorted(self.blocks.items()):
            yield block, self.sections[name].service
        for section in self.spares.values() if spares else ():
            yield f"{section.text}\n", ""
        yield "", ""

    def _parts(self, text: str, owner: str | None) -> tuple[Part, ...]:
        if owner is None:
            return self.parts
        return (Part(1, text.count("\n"), owner),) if owner else ()

    def files(self, *, spares: bool = True) -> dict[str, bytes]:
        """Return the content of each file, by its path below the state folder."""
        files = {f"errors/{name}": page for name, page in self.pages.items()}
        files |= {map_file(name): map_text(entries).encode() for name, entries in self.maps.items()}
        files |= self.lists
        files |= {certificate_file(name): pem.encode() for name, pem in self.certificates.items()}
        files[CRT_LIST] = "".join(f"{certificate_file(name)}\n" for name in self.certificates).encode()
        files["haproxy.cfg"] = self.text(spares=spares).encode()
        return files


def map_file(name: str) -> str:
    """Return the path of a map, in HAProxy's files and in its runtime API."""
    return f"maps/{name}.map"


def certificate_file(name: str) -> str:
    """Return the path of a certificate, in HAProxy's files and in its runtime API."""
    return f"certs/{name}"


def map_text(entries: Mapping[str, str]) -> str:
    """Raises Rejected."""
    return "".join(f"{map_line(key, value)}\n" for key, value in sorted(entries.items()))


def map_line(key: str, value: str) -> str:
    """One entry of a map. Raises Rejected where the line could be read as another entry, or as none."""
    for text in (key, value):
        if not _IN_MAP.fullmatch(text):
            raise Rejected(f"{text!r} cannot stand in a map: it is empty or has white space, # or a control character")
    return f"{key} {value}"
