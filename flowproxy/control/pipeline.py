"""compile -> render -> plan, as one pure function: nothing here reads a file, a clock or HAProxy's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from flowproxy.errors import Rejected
from flowproxy.haproxy.plan import Plan, Running, make_plan
from flowproxy.rendering import renderer
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.materials import TemplateTexts
from flowproxy.rendering.renderer import Renderer
from flowproxy.rendering.servers import Endpoints
from flowproxy.routing.compile import Compiler
from flowproxy.routing.ports import HttpNames, compile_listeners
from flowproxy.routing.service_certificates import with_those_of_services
from flowproxy.routing.table import Conflict, RouteTable
from flowproxy.services.certificate import Certificate
from flowproxy.services.registry import Entry, Snapshot


class Wanted(NamedTuple):
    """The desired state at one moment.

    `templates` are the texts of the services' own templates. With `one_certificate`, the first certificate stands for
    the whole folder, which is enough to check services.
    """

    entries: Mapping[str, Entry]
    endpoints: Endpoints
    certificates: Mapping[str, Certificate]
    templates: TemplateTexts
    stopping: bool = False
    one_certificate: bool = False

    @classmethod
    def of(cls, snapshot: Snapshot, templates: TemplateTexts | None = None) -> Wanted:
        """Return the desired state for everything in a snapshot."""
        return cls(
            snapshot.entries, snapshot.endpoints, snapshot.certificates, templates or {}, stopping=snapshot.stopping
        )

    def only(self, entries: Mapping[str, Entry]) -> Wanted:
        """Return the same state with only these services."""
        return self._replace(entries=entries)


class Planned(NamedTuple):
    """The result of the pipeline."""

    table: RouteTable
    configuration: Configuration
    plan: Plan


@dataclass
class Memory:
    """Results of the last call for each service. They make the next call cheaper, and never change its result."""

    compiler: Compiler = field(default_factory=Compiler)
    rendered: renderer.Memory = field(default_factory=renderer.Memory)


class Pipeline:
    """Turns the desired state into a plan: for the loop, for checks, and for the search for an offender."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def plan(self, wanted: Wanted, running: Running | None = None, memory: Memory | None = None) -> Planned:
        """Return the routes, the configuration, and the plan that applies it.

        Args:
            running: the state of HAProxy's worker; None if unknown.
            memory: results of an earlier call, updated by this one.

        Raises:
            Rejected: rendering failed, because of a bug in Flowproxy or an error in the operator's templates.
        """
        try:
            table, configuration = self._rendered(wanted, memory or Memory())
        except Rejected:
            raise
        except Exception as error:
            raise Rejected(f"it cannot be rendered: {type(error).__name__}: {error}") from error
        return Planned(table, configuration, make_plan(running, configuration))

    def _rendered(self, wanted: Wanted, memory: Memory) -> tuple[RouteTable, Configuration]:
        candidates = [entry.candidate for entry in wanted.entries.values()]
        table = memory.compiler.compile(candidates)
        given = dict(list(wanted.certificates.items())[: 1 if wanted.one_certificate else None])
        certificates, clashes = with_those_of_services(given, candidates, table)
        with_ports = [candidate for candidate in candidates if candidate.service.has_ports]
        of_folder = (domain for certificate in wanted.certificates.values() for domain in certificate.domains)
        http_ports = self._renderer.http_ports(certified=bool(certificates))
        listening = compile_listeners(with_ports, http_ports, HttpNames(table, frozenset(of_folder)))
        configuration = self._renderer.render(
            table,
            wanted.endpoints,
            certificates.values(),
            listening,
            templates=wanted.templates,
            stopping=wanted.stopping,
            memory=memory.rendered,
        )
        conflicts: tuple[Conflict, ...] = table.conflicts + listening.conflicts + clashes
        return replace(table, conflicts=conflicts, warnings=listening.warnings), configuration
