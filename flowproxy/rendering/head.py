"""Everything of haproxy.cfg but the backends: the frontends, and the settings that hold for all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jinja2

from flowproxy.errors import InvalidTemplate
from flowproxy.rendering.acls import Compared
from flowproxy.rendering.materials import PAGES, Materials
from flowproxy.rendering.parts import Text, owned, without_marks
from flowproxy.rendering.sections import default_users, service_connections
from flowproxy.rendering.service_templates import Snippet
from flowproxy.rendering.templates import Templates, explained
from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import ANY, DEFAULT, EXACT, PATTERN, WILDCARD
from flowproxy.routing.ports import Choice, Listeners
from flowproxy.routing.table import RouteTable, Rule
from flowproxy.settings.model import Settings
from flowproxy.text import paths
from flowproxy.text.quoting import word

EXPORTER = "exporter.sock"

# HAProxy writes every value of a request escaped for JSON (+E) and in quotes (+Q).
_JSON_LOG = (
    '{"timestamp":"%tr","level":"info","event":"request","client":"%ci","status":%ST,"method":%{+Q,+E}HM,"host":%{+Q,+E}[var(txn.host)],'
    '"path":%{+Q,+E}HPO,"backend":"%b","server":"%s","termination":"%tsc","bytes":%B,"queue_ms":%Tw,"connect_ms":%Tc,'
    '"response_ms":%Tr,"total_ms":%Ta,"retries":"%rc"}'
)
_CONDITIONS = 3  # each with up to eight values and some words around them: a line takes 64 words


class Acl(NamedTuple):
    """The name of a condition that rules refer to, and a service whose condition it is."""

    name: str
    service: str


class Asked(NamedTuple):
    """The stages of the search for a route, in their order, each with its rules. `pending` are those that have some,
    `recorded` the first of these with all that come after it, `again` all but that one."""

    stages: Sequence[tuple[str, tuple[Rule, ...]]]
    pending: Sequence[str]
    recorded: Sequence[str]
    again: Sequence[str]

    @property
    def rules(self) -> list[Rule]:
        return [rule for _, rules in self.stages for rule in rules]


class RenderedHead(NamedTuple):
    """The text with the services of its lines, and the value files that it names."""

    text: Text
    lists: Mapping[str, bytes]


class Head:
    """Renders the head."""

    def __init__(self, settings: Settings, materials: Materials, templates: Templates) -> None:
        """Raises InvalidTemplate."""
        self._settings = settings
        self._materials = materials
        self._template = _base(materials, templates)
        folder = settings.state_dir
        # Nothing works without these lines, whatever the templates say.
        self._preamble = (
            "global\n    default-path config\n"
            f"    pidfile {word(f'{folder}/haproxy.pid')}\n"
            f"    stats socket {word(f'{folder}/haproxy.sock')} mode 600 level admin expose-fd listeners\n\n"
        )
        # What is the same whatever the services are.
        self._context: Mapping[str, object] = {
            "settings": settings,
            "path_odd": paths.ODD,
            "path_broken": paths.BROKEN,
            "path_climbing": paths.CLIMBING,
            "path_uncertain": paths.UNCERTAIN,
            "path_steps": paths.STEPS,
            "compared": self._compared,
            "owned": owned,
            "run_user": materials.run_user,
            "chroot": materials.chroot,
            "exporter": f"{folder}/{EXPORTER}" if materials.exporter else None,
            "default_users": default_users(settings),
            "local": _local_name(settings),
            "error_pages": PAGES,
            "service_connections": service_connections(settings, materials),
            "json_log_format": _JSON_LOG,
        }

    def render(
        self, table: RouteTable, listening: Listeners, snippets: Sequence[Snippet], certificates: Sequence[str]
    ) -> RenderedHead:
        """Return the head for these routes, ports, templates of services, and names of certificates.

        Raises InvalidTemplate.
        """
        asked = _asked(table)
        named = _named(asked.rules)
        context = {
            **self._context,
            "table": table,
            "stages": asked.stages,
            "pending_stages": asked.pending,
            "recorded_stages": asked.recorded,
            "asked_again": asked.again,
            "named": named,
            "normal_forms": any(not c.decides for rule in asked.rules for c in rule.conditions),
            "certified": bool(certificates) or self._settings.crt_list_path is not None,
            "default_certificate": next(iter(certificates), None),
            "listeners": listening.listeners,
            "shared_ports": frozenset(listener.port for listener in listening.listeners if listener.beside_http),
            "snippets": [snippet for snippet in snippets if snippet.lines],
        }
        try:
            text = without_marks(self._preamble + self._template.render(context))
        except jinja2.TemplateError as error:
            raise InvalidTemplate(f"template of the configuration: {explained(error)}") from None
        choices = [choice for listener in listening.listeners for choice in listener.choices]
        return RenderedHead(text, self._lists([*named, *choices]))

    def _compared(self, condition: Condition | Choice) -> Compared:
        return Compared(condition.method, condition.values, self._materials.match_limits)

    def _lists(self, conditions: Iterable[Condition | Choice]) -> dict[str, bytes]:
        lists: dict[str, bytes] = {}
        for condition in conditions:
            lists |= self._compared(condition).files
        return lists


def _base(materials: Materials, templates: Templates) -> jinja2.Template:
    if materials.base is None:
        return templates.named("haproxy.cfg.j2")
    return templates.of_operator(f"template {materials.base.path}", materials.base.text)


def _asked(table: RouteTable) -> Asked:
    stages = [
        (EXACT, table.rules[EXACT]),
        *((f"wildcard{depth}", _of_depth(table, depth)) for depth in table.wildcard_depths),
        *((stage, table.rules[stage]) for stage in (PATTERN, ANY)),
    ]
    pending = [name for name, rules in stages if rules]
    names = [*(name for name, _ in stages), DEFAULT]
    recorded = names[names.index(pending[0]) :] if pending else []
    return Asked(stages, pending, recorded, recorded[1:])


def _of_depth(table: RouteTable, depth: int) -> tuple[Rule, ...]:
    return tuple(r for r in table.rules[WILDCARD] if r.value.partition("/")[0].count(".") == depth)


def _named(rules: Iterable[Rule]) -> dict[Condition, Acl]:
    """The conditions that have no place in their rule: those with many values, and all where there are many."""
    named: dict[Condition, Acl] = {}
    for rule in rules:
        crowded = len(rule.conditions) > _CONDITIONS
        for condition in rule.conditions:
            if condition not in named and (crowded or Compared(condition.method, condition.values).is_long):
                digest = hashlib.sha256(repr(tuple(condition)).encode()).hexdigest()[:16]
                named[condition] = Acl(f"route-{digest}", rule.service)
    return named


def _local_name(settings: Settings) -> str:
    """Return the name of the sockets between our own frontends.

    It must be another one for each proxy of a network namespace. There two may have the same folder, each in mounts of
    its own, but no two have the same API port.
    """
    return hashlib.sha256(f"{settings.state_dir} {settings.port}".encode()).hexdigest()[:16]
