"""The templates of services: lines of the frontend, and whole sections (docs/features/templates.md)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from flowproxy.errors import InvalidTemplate
from flowproxy.rendering.materials import TemplateTexts, Unreadable
from flowproxy.rendering.parts import has_marks
from flowproxy.rendering.servers import Server
from flowproxy.rendering.templates import Templates, explained
from flowproxy.routing.backends import Backend
from flowproxy.services.model import Destination, Service, public
from flowproxy.text import quoting
from flowproxy.text.lines import require_network_addresses

# Names that backends of services, with their lists of users, and our own sections have.
_RESERVED = re.compile(
    r".*:.*|.*-be\d+_\d+(-users)?|(tcpFE|service)_\d+|tls-\d+|no-route|services|exporter|stats|docker|defaultUsers"
)
_NAMED = re.compile(r"[\w-]+[ \t]+(?P<name>[\w.:-]+)(?:[ \t].*)?", re.ASCII)
_FOR_BACKENDS = frozenset({"backend", "listen", "userlist", "resolvers", "cache", "fcgi-app", "http-errors"})
_UNREAD = Unreadable("it was not read")


class TemplateBackend(NamedTuple):
    """A backend of a service's own, as its templates see it."""

    name: str
    port: int
    destination: Destination
    servers: tuple[Server, ...]


class Snippet(NamedTuple):
    """The output of a service's templates: lines of the frontend, whole sections and their names."""

    service: str
    lines: str
    sections: str
    names: tuple[str, ...] = ()


class ServiceTemplates:
    """Renders the templates of services, whose texts are given by path."""

    def __init__(self, templates: Templates, texts: TemplateTexts) -> None:
        self._templates = templates
        self._texts = texts

    def snippet(
        self, service: Service, backends: Iterable[Backend], servers: Mapping[str, tuple[Server, ...]]
    ) -> Snippet:
        """Raises InvalidTemplate, naming the service."""
        try:
            return self._snippet(service, [b for b in backends if b.service is service], servers)
        except InvalidTemplate as error:
            raise InvalidTemplate(str(error), [service.service_name]) from None

    def _snippet(self, service: Service, own: list[Backend], servers: Mapping[str, tuple[Server, ...]]) -> Snippet:
        context = {
            "service": service,
            "destinations": service.destinations,
            "parameters": {**public(service.destinations[0]), **public(service)},
            "backends": [TemplateBackend(b.name, b.port, b.destination, servers[b.name]) for b in own],
        }
        lines, sections, defined = "", "", []
        if service.template_fe_path:
            lines = self._frontend_lines(service.template_fe_path, context)
        if service.template_be_path:
            written = self._backend_sections(service.template_be_path, context)
            defined = _section_names(written)
            missing = [backend.name for backend in own if backend.name not in defined]
            if missing and not lines:
                raise InvalidTemplate(
                    f"templateBePath: {service.template_be_path}: the service's routes use the backend"
                    f" {missing[0]}, which it does not define"
                )
            allowed = {name for backend in own for name in (backend.name, f"{backend.name}-users")}
            if reserved := next((n for n in defined if n not in allowed and _RESERVED.fullmatch(n)), None):
                raise InvalidTemplate(
                    f"templateBePath: {service.template_be_path}: {reserved} may be the name of another service's"
                    " backend, or of a part of Flowproxy's; give it another one, such as"
                    f" {service.service_name}-own"
                )
            sections = f"# service {service.service_name}\n{written}"
        return Snippet(service.service_name, lines, sections, tuple(defined))

    def _frontend_lines(self, path: str, context: Mapping[str, object]) -> str:
        """Render lines of the frontend, and no section. Raises InvalidTemplate."""
        what = f"templateFePath: {path}"
        text = self._rendered(what, path, context)
        for line, keyword in _meaningful(what, text):
            if keyword in quoting.SECTIONS:
                raise InvalidTemplate(f"{what}: {line!r} begins a section; give lines of the frontend")
        return text

    def _backend_sections(self, path: str, context: Mapping[str, object]) -> str:
        """Render whole sections. Raises InvalidTemplate."""
        what = f"templateBePath: {path}"
        text = self._rendered(what, path, context)
        lines = list(_meaningful(what, text))
        if not lines or lines[0][1] not in quoting.SECTIONS:
            raise InvalidTemplate(f"{what}: it must begin with a section, such as `backend {{name}}`")
        for line, keyword in lines:
            if keyword in quoting.SECTIONS - _FOR_BACKENDS:
                raise InvalidTemplate(f"{what}: {line!r} would change settings outside the service")
            if keyword in quoting.SECTIONS and not _NAMED.fullmatch(line):
                raise InvalidTemplate(f"{what}: {line!r} must be `{keyword} name`, with a name without quotes")
        return text

    def _rendered(self, what: str, path: str, context: Mapping[str, object]) -> str:
        given = self._texts.get(path, _UNREAD)
        if isinstance(given, Unreadable):
            raise InvalidTemplate(f"{what}: {given.reason}")
        template = self._templates.of_service(what, given)
        try:
            text = template.render(context).strip("\n")
            require_network_addresses({*text.split("\n"), *text.splitlines()})
        except Exception as error:  # noqa: BLE001 - whatever a template of a user's raises is its own fault
            raise InvalidTemplate(f"{what}: {explained(error)}") from None
        if has_marks(text):
            raise InvalidTemplate(f"{what}: it holds a control character")
        return text


def require_own_names(snippets: Collection[Snippet]) -> None:
    """Refuse names that two services use, the older first. Raises InvalidTemplate.

    HAProxy joins ACLs of one name, so that one service's would decide over another's; and of two sections of a name it
    may take the wrong one.
    """
    sections: dict[str, str] = {}
    for snippet in snippets:
        for name in snippet.names:
            owner = sections.setdefault(name, snippet.service)
            if owner != snippet.service:
                raise InvalidTemplate(
                    f"templateBePath: the section {name} is service {owner}'s already; give it another name",
                    [snippet.service],
                )
    owners: dict[str, str] = {}
    for snippet in snippets:
        for name in re.findall(r"^\s*acl\s+(\S+)", snippet.lines, re.MULTILINE):
            owner = owners.setdefault(name, snippet.service)
            if name.startswith("route-") or owner != snippet.service:
                whose = "Flowproxy's" if name.startswith("route-") else f"service {owner}'s"
                raise InvalidTemplate(
                    f"templateFePath: the acl {name} is {whose} already; give it another name", [snippet.service]
                )


def _section_names(sections: str) -> list[str]:
    lines = (line.strip() for line in sections.splitlines())
    found = (_NAMED.fullmatch(line) for line in lines if quoting.keyword(line) in quoting.SECTIONS)
    return [named["name"] for named in found if named]


def _meaningful(what: str, text: str) -> Iterable[tuple[str, str]]:
    """Every line with its keyword."""
    for line in map(str.strip, text.splitlines()):
        try:
            keyword = quoting.keyword(line)
        except ValueError as error:
            raise InvalidTemplate(f"{what}: {error}") from None
        if keyword:
            yield line, keyword
