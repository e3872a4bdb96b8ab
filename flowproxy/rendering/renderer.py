"""From a route table and the servers of its backends to a Configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flowproxy.errors import InvalidSettings, InvalidTemplate
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.head import Head
from flowproxy.rendering.materials import Materials, TemplateTexts
from flowproxy.rendering.sections import Rendered, Section, Sections
from flowproxy.rendering.servers import Endpoints, Placed, Server, place
from flowproxy.rendering.service_templates import ServiceTemplates, Snippet, require_own_names
from flowproxy.rendering.templates import Templates
from flowproxy.rendering.values import VALUES, entries_of
from flowproxy.routing.backends import Backend
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.ports import Listeners
from flowproxy.routing.table import RouteTable
from flowproxy.services.certificate import Certificate, in_order
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse
from flowproxy.settings.model import Settings

_PLAIN = parse({"serviceName": "plain.service", "servicePath": "/", "port": "80"})
NO_LISTENERS = Listeners((), (), ())


class Block(NamedTuple):
    """A rendered section with its servers, and its inputs."""

    section: Section
    servers: tuple[Server, ...]
    text: str


@dataclass
class Memory:
    """Results of the last call for each backend. They make the next call cheaper, and never change its result."""

    sections: Mapping[str, Rendered] = field(default_factory=dict)
    placed: Mapping[str, Placed] = field(default_factory=dict)
    blocks: Mapping[str, Block] = field(default_factory=dict)


class Renderer:
    """Renders configurations of the same settings and materials. Nothing is read while it does."""

    def __init__(self, settings: Settings, materials: Materials) -> None:
        """Raises InvalidSettings when a template of the operator's is wrong."""
        self._settings = settings
        self._pages = materials.pages
        self._templates = Templates(materials.templates)
        self._plain: str | None = None
        try:
            self._head = Head(settings, materials, self._templates)
            self._sections = Sections(settings, materials, self._templates)
            self._plain = self._tried()
        except InvalidTemplate as error:
            raise InvalidSettings(str(error)) from None

    def render(
        self,
        table: RouteTable,
        endpoints: Endpoints,
        certificates: Iterable[Certificate] = (),
        listening: Listeners = NO_LISTENERS,
        *,
        templates: TemplateTexts | None = None,
        stopping: bool = False,
        memory: Memory | None = None,
    ) -> Configuration:
        """Return what HAProxy is given for these routes.

        Args:
            endpoints: those of each host name that a destination sends to; a name without any has no servers.
            templates: the texts of the services' own templates.
            stopping: whether the node is about to leave.
            memory: what an earlier call has left there.

        Raises:
            InvalidTemplate: a template of a service's, or of the operator's, is wrong.
        """
        memory = memory or Memory()
        backends = [backend for part in table.parts.values() for backend in part.backends]
        backends += listening.backends
        placed = place(backends, endpoints, memory.placed)
        servers = {name: found.servers for name, found in placed.items()}
        snippets = self._snippets(table, backends, servers, templates or {})
        backends = [backend for backend in backends if not backend.service.template_be_path]
        rendered = self._sections.render(backends, memory.sections, self._plain)
        sections = {name: found.section for name, found in rendered.items()}
        sections |= {
            f"templates/{s.service}": Section(s.sections, "", service=s.service) for s in snippets if s.sections
        }
        values = entries_of({name: found.slots for name, found in rendered.items() if found.slots})
        blocks = _blocks(sections, servers, memory.blocks)
        memory.sections, memory.placed, memory.blocks = rendered, placed, blocks
        pems = self._pems(certificates)
        head = self._head.render(table, listening, snippets, tuple(pems))
        named_by_head = [rule.backend for rules in table.rules.values() for rule in rules]
        return Configuration(
            head=head.text.text,
            pages=self._pages,
            sections=sections,
            servers={backend.name: servers[backend.name] for backend in backends},
            maps={**table.maps, VALUES: values, **self._readiness(stopping=stopping)},
            certificates=pems,
            ports=tuple(listener.port for listener in listening.listeners if not listener.beside_http),
            blocks={name: block.text for name, block in blocks.items()},
            fixed=frozenset([*named_by_head, *(backend.name for backend in listening.backends)]),
            plain=self._plain,
            lists=head.lists,
            parts=tuple(head.text.parts or ()),
        )

    def http_ports(self, *, certified: bool) -> Mapping[int, bool]:
        """Return the ports of the http routes, each with whether it speaks TLS."""
        return self._settings.http_ports(certified=certified or self._settings.crt_list_path is not None)

    def _snippets(
        self,
        table: RouteTable,
        backends: Sequence[Backend],
        servers: Mapping[str, tuple[Server, ...]],
        texts: TemplateTexts,
    ) -> list[Snippet]:
        templates = ServiceTemplates(self._templates, texts)
        snippets = [templates.snippet(service, backends, servers) for service in table.templated]
        require_own_names(sorted(snippets, key=lambda snippet: table.parts[snippet.service].candidate.age))
        return snippets

    def _pems(self, certificates: Iterable[Certificate]) -> dict[str, str]:
        """The certificates that are used, the one for clients without a server name first."""
        given = {certificate.name: certificate for certificate in certificates if self._settings.uses_certificates}
        return {name: given[name].pem for name in in_order(given.values(), self._settings.preferred_certificate)}

    def _readiness(self, *, stopping: bool) -> Mapping[str, Mapping[str, str]]:
        """The map that says whether the node is about to leave, where HAProxy asks it: it changes without a reload."""
        if self._settings.ready_path is None and not self._settings.shutdown_delay:
            return {}
        return {"ready": {"node": "stopping" if stopping else "ready"}}

    def _tried(self) -> str | None:
        """Render a service with only a route, to find errors in templates early; return its backend's shape."""
        configuration = self.render(compile_routes([Candidate(_PLAIN, 0)]), {})
        return next(section.shape for section in configuration.sections.values())


def _blocks(
    sections: Mapping[str, Section], servers: Mapping[str, tuple[Server, ...]], known: Mapping[str, Block]
) -> dict[str, Block]:
    blocks = {}
    for name, section in sections.items():
        present = servers.get(name, ())
        before = known.get(name)
        same = before if before and before.section is section and before.servers is present else None
        blocks[name] = same or Block(section, present, _block(section, present))
    return blocks


def _block(section: Section, servers: Iterable[Server]) -> str:
    return "\n".join([section.text, *(server_line(server, section) for server in servers), ""])


def server_line(server: Server, section: Section) -> str:
    """Return the line of a server in its section."""
    return f"    server {server.name} {server.socket_address} {section.options(server)}"
