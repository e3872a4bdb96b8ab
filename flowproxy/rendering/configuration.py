"""A RouteTable and the servers of its backends, as the files that HAProxy reads."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jinja2

from flowproxy.errors import InvalidSettings, InvalidTemplate, Rejected
from flowproxy.features import FEATURES
from flowproxy.features.paths import Rewrite
from flowproxy.rendering.acls import Compared
from flowproxy.rendering.templates import OURS, Templates, explained, section_names
from flowproxy.rendering.values import VALUES, Values
from flowproxy.routing.ports import Choice, Listeners
from flowproxy.routing.table import (
    ANY,
    DEFAULT,
    EXACT,
    PATTERN,
    STAGES,
    WILDCARD,
    Backend,
    Condition,
    RouteTable,
    Rule,
    compile_routes,
)
from flowproxy.services.certificate import Certificate, in_order
from flowproxy.services.model import Candidate, Destination, Endpoint, Service, is_address, public
from flowproxy.services.parse import parse
from flowproxy.services.users import NOBODY, complete, users_of
from flowproxy.settings import Settings, secrets_folder
from flowproxy.text import paths
from flowproxy.text.patterns import limited, reach_of
from flowproxy.text.quoting import comment, word

_NO_SECRETS: Mapping[str, str] = {}
PAGES = (400, 403, 405, 408, 413, 429, 500, 502, 503, 504)
MAPS = STAGES

# HAProxy writes every value of a request escaped for JSON (+E) and in quotes (+Q).
_JSON_LOG = (
    '{"timestamp":"%tr","level":"info","event":"request","client":"%ci","status":%ST,"method":%{+Q,+E}HM,"host":%{+Q,+E}[var(txn.host)],'
    '"path":%{+Q,+E}HPO,"backend":"%b","server":"%s","termination":"%tsc","bytes":%B,"queue_ms":%Tw,"connect_ms":%Tc,'
    '"response_ms":%Tr,"total_ms":%Ta,"retries":"%rc"}'
)


# HAProxy 2.6 keeps no connections to a server that is added while it runs unless it is told to.
_POOL = "pool-max-conn -1 pool-purge-delay 5s"
SPARE = "spare:"  # what their names begin with; no name of a service holds a colon
# Names that backends of services, with their lists of users, and our own sections have.
_RESERVED = re.compile(
    r".*:.*|.*-be\d+_\d+(-users)?|(tcpFE|service)_\d+|tls-\d+|no-route|services|exporter|stats|docker|defaultUsers"
)
_IN_MAP = re.compile(r'[!"$-~]+')  # what is printed, without # and spaces
_LEAST_CONNECTIONS = 10  # of a backend, however many the service has
_SPARES, _SHAPES = 32, 3
_CONDITIONS = 3  # each with up to eight values and some words around them: a line takes 64 words
_PLAIN = parse({"serviceName": "plain.service", "servicePath": "/", "port": "80"})

# The templates of the features, for each kind of backend.
_PARTS = {
    mode: tuple(f"backend/{feature.name}.cfg.j2" for feature in FEATURES if mode in feature.modes)
    for mode in ("http", "tcp")
}

NO_LISTENERS = Listeners((), (), ())
EXPORTER = "exporter.sock"
OWNER = "# service "  # the beginning of a comment that says whose part of haproxy.cfg begins there
CRT_LIST = "crt-list.txt"


class Server(NamedTuple):
    """One server line, or one `add server`."""

    name: str
    address: str
    port: int

    @property
    def socket_address(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Section(NamedTuple):
    """A backend without its servers, and what stands behind the address of each of them.

    `shape` is its text without names, when nothing in it depends on whose it is: a spare backend of this shape can
    stand in for it.
    """

    text: str
    server_options: str
    sticky: bool = False
    shape: str | None = None

    def options(self, server: Server) -> str:
        """With the cookie of a sticky server, which tells nothing of the cluster and stays as long as the task does."""
        if not self.sticky:
            return self.server_options
        return f"{self.server_options} cookie {hashlib.sha256(server.name.encode()).hexdigest()[:16]}"


class TemplateBackend(NamedTuple):
    """A backend of a service's own, as its templates see it."""

    name: str
    port: int
    destination: Destination
    servers: tuple[Server, ...]


class Snippet(NamedTuple):
    """What a service's own templates say: lines of the frontend, whole sections and their names."""

    service: str
    lines: str
    sections: str
    names: tuple[str, ...] = ()


class Rewriting(NamedTuple):
    """A rewrite as HAProxy does it, of paths that are at most as long as `reach`."""

    search: str
    replace: str
    reach: int


class Acl(NamedTuple):
    """The name of a condition that rules refer to, and a service whose condition it is."""

    name: str
    service: str


@dataclass(frozen=True)
class Configuration:
    """Everything HAProxy is given. The skeleton is all but servers, map entries and certificates.

    `lists` are files of values that the head names, each by a digest of its content. `blocks` are the texts of sections
    with their servers. `fixed` are the backends that the head names, which no other can stand in for; `plain` is the
    shape of a backend without wishes.
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

    @cached_property
    def digest(self) -> str:
        """Names the skeleton and the certificates, in their order. HAProxy repeats it in `show info`, which proves what
        a worker was started with."""
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
        """Backends without servers, for services to come: of the plain shape, and of those that many services have."""
        shapes = Counter(section.shape for section in self.sections.values() if section.shape is not None)
        if self.plain is not None:
            shapes[self.plain] = len(self.sections) + 1
        ready = max(_SPARES, len(self.sections) // 50)
        spares: dict[str, Section] = {}
        for shape, _ in shapes.most_common(_SHAPES):
            for _ in range(ready):
                name = f"{SPARE}{len(spares) + 1}"
                spares[name] = Section(f"backend {name}\n{shape}".rstrip(), "", shape=shape)
        return spares

    def text(self, *, spares: bool = True) -> str:
        """haproxy.cfg; for a check, the spares can be left out."""
        parts = [
            "# Written by Flowproxy; a change by hand is lost.",
            f"global\n    description {self.digest}\n",
            f"{self.head.rstrip()}\n",
        ]
        parts += [block for _, block in sorted(self.blocks.items())]
        parts += [f"{section.text}\n" for section in self.spares.values()] if spares else []
        return "\n".join(parts) + "\n"

    def files(self, *, spares: bool = True) -> dict[str, bytes]:
        """Path below the state folder -> content."""
        files = {f"errors/{name}": page for name, page in self.pages.items()}
        files |= {map_file(name): map_text(entries).encode() for name, entries in self.maps.items()}
        files |= self.lists
        files |= {certificate_file(name): pem.encode() for name, pem in self.certificates.items()}
        files[CRT_LIST] = "".join(f"{certificate_file(name)}\n" for name in self.certificates).encode()
        files["haproxy.cfg"] = self.text(spares=spares).encode()
        return files


def map_file(name: str) -> str:
    """The path by which HAProxy knows a map, in its files and in its runtime API."""
    return f"maps/{name}.map"


def certificate_file(name: str) -> str:
    """The path by which HAProxy knows a certificate."""
    return f"certs/{name}"


def map_text(entries: Mapping[str, str]) -> str:
    """Raises Rejected."""
    return "".join(f"{map_line(key, value)}\n" for key, value in sorted(entries.items()))


def map_line(key: str, value: str) -> str:
    """One entry of a map. Raises Rejected where the line could be read as another entry, or as none."""
    for text in (key, value):
        if not _IN_MAP.fullmatch(text):
            raise Rejected(f"{text!r} cannot stand in a map: it is empty or has white space, # or another such sign")
    return f"{key} {value}"


def server_line(server: Server, section: Section) -> str:
    return f"    server {server.name} {server.socket_address} {section.options(server)}"


class Renderer:
    """Holds the templates and the settings; a folder of the user's comes before ours, file by file."""

    def __init__(
        self,
        settings: Settings,
        *,
        exporter: bool = False,
        match_limits: bool = False,
        run_user: str | None = None,
        chroot: Path | None = None,
        secrets: Mapping[str, str] = _NO_SECRETS,
        service_connections: int = 2000,
    ) -> None:
        folders = [folder for folder in (settings.templates, OURS) if folder is not None]
        self._settings = settings
        self._run_user = run_user
        self._chroot = chroot
        self._exporter = exporter
        self._match_limits = match_limits
        self._secrets = secrets
        self._service_connections = settings.service_connections or service_connections
        self._default_users = complete(settings.users, encrypted=settings.users_pass_encrypted)
        if settings.users and not self._default_users:
            self._default_users = NOBODY
        # Nothing works without these lines, whatever the templates say.
        self._preamble = (
            "global\n    default-path config\n"
            f"    pidfile {word(settings.state_dir.resolve() / 'haproxy.pid')}\n"
            f"    stats socket {word(settings.state_dir.resolve() / 'haproxy.sock')} mode 600 level admin"
            " expose-fd listeners\n\n"
        )
        self._pages = {f"{code}.http": _page(settings, folders, code) for code in PAGES}
        self._sections: dict[str, tuple[Backend, Section]] = {}
        self._servers: dict[str, tuple[Backend, object, tuple[Server, ...]]] = {}
        self._blocks: dict[str, tuple[Section, tuple[Server, ...], str]] = {}
        self._values = Values()
        self._plain: str | None = None
        self._templates = Templates(folders, (settings.state_dir, settings.certs, secrets_folder()))
        try:
            self._head = self._base(settings)
            self._backend = self._templates.named("backend.cfg.j2")
            self._tcp = self._templates.named("tcp.cfg.j2")
            self._plain = self._tried()
        except InvalidTemplate as error:
            raise InvalidSettings(str(error)) from None

    def apart(self) -> Renderer:
        """One with the same templates and settings that knows nothing of what this one has rendered."""
        other = copy(self)
        other._sections, other._servers, other._blocks = {}, {}, {}
        other._values = Values()
        return other

    def render(
        self,
        table: RouteTable,
        endpoints: Mapping[str, tuple[Endpoint, ...]],
        certificates: Iterable[Certificate] = (),
        listening: Listeners = NO_LISTENERS,
        *,
        stopping: bool = False,
    ) -> Configuration:
        """`endpoints` are those of each host name that a destination sends to; a name without any has no servers.
        `stopping` says that the node is about to leave."""
        backends = [backend for part in table.parts.values() for backend in part.backends]
        backends += listening.backends
        servers = {backend.name: self._placed(backend, endpoints) for backend in backends}
        snippets = [self._snippet_of(service, backends, servers) for service in table.templated]
        _require_own_names(sorted(snippets, key=lambda snippet: table.parts[snippet.service].candidate.age))
        backends = [backend for backend in backends if not backend.service.template_be_path]
        sections = {backend.name: self._section(backend) for backend in backends}
        self._forget_but(servers)
        sections |= {f"templates/{s.service}": Section(s.sections, "") for s in snippets if s.sections}
        wildcards = [(f"wildcard{depth}", self._of_depth(table, depth)) for depth in table.wildcard_depths]
        given = {certificate.name: certificate for certificate in certificates if self._settings.uses_certificates}
        pems = {name: given[name].pem for name in in_order(given.values(), self._settings.preferred_certificate)}
        stages: list[tuple[str, tuple[Rule, ...]]] = [
            (EXACT, table.rules[EXACT]),
            *wildcards,
            *((stage, table.rules[stage]) for stage in (PATTERN, ANY)),
        ]
        pending = [name for name, rules in stages if rules]
        names = [*(name for name, _ in stages), DEFAULT]
        later = names[names.index(pending[0]) :] if pending else []
        named = _named([rule for _, rules in stages for rule in rules])
        head = self._render_head(
            certified=bool(pems) or self._settings.crt_list_path is not None,
            default_certificate=next(iter(pems), None),
            settings=self._settings,
            table=table,
            stages=stages,
            named=named,
            normal_forms=any(not c.decides for _, rules in stages for rule in rules for c in rule.conditions),
            path_odd=paths.ODD,
            path_broken=paths.BROKEN,
            path_climbing=paths.CLIMBING,
            path_uncertain=paths.UNCERTAIN,
            path_steps=paths.STEPS,
            compared=self._compared,
            pending_stages=pending,
            recorded_stages=later,
            asked_again=later[1:],
            run_user=self._run_user,
            chroot=self._chroot,
            exporter=self._settings.state_dir.resolve() / EXPORTER if self._exporter else None,
            default_users=self._default_users,
            listeners=listening.listeners,
            shared_ports=frozenset(listener.port for listener in listening.listeners if listener.beside_http),
            local=hashlib.sha256(str(self._settings.state_dir.resolve()).encode()).hexdigest()[:16],
            error_pages=PAGES,
            service_connections=self._service_connections,
            json_log_format=_JSON_LOG,
            snippets=[snippet for snippet in snippets if snippet.lines],
        )
        return Configuration(
            head=head,
            pages=self._pages,
            sections=sections,
            servers={backend.name: servers[backend.name] for backend in backends},
            maps={**table.maps, VALUES: self._values.entries(backends), **self._readiness(stopping=stopping)},
            certificates=pems,
            ports=tuple(listener.port for listener in listening.listeners if not listener.beside_http),
            blocks={name: self._block(name, section, servers.get(name, ())) for name, section in sections.items()},
            fixed=frozenset(
                [rule.backend for rules in table.rules.values() for rule in rules]
                + [backend.name for backend in listening.backends]
            ),
            plain=self._plain,
            lists=self._lists([*named, *(choice for listener in listening.listeners for choice in listener.choices)]),
        )

    def _readiness(self, *, stopping: bool) -> Mapping[str, Mapping[str, str]]:
        """The map that says whether the node is about to leave, where HAProxy asks it: it changes without a reload."""
        if self._settings.ready_path is None and not self._settings.shutdown_delay:
            return {}
        return {"ready": {"node": "stopping" if stopping else "ready"}}

    def http_ports(self, *, certified: bool) -> Mapping[int, bool]:
        """The ports of the http routes, each with whether it speaks TLS."""
        return self._settings.http_ports(certified=certified or self._settings.crt_list_path is not None)

    def _tried(self) -> str | None:
        """Renders a service without wishes, lest a mistake in a template shows only later; the shape of its backend."""
        configuration = self.render(compile_routes([Candidate(_PLAIN, 0)]), {})
        return next(section.shape for section in configuration.sections.values())

    def _base(self, settings: Settings) -> jinja2.Template:
        """Of everything but the backends."""
        given = settings.cfg_template_path
        if given is None:
            return self._templates.named("haproxy.cfg.j2")
        return self._templates.of_file(given if given.is_absolute() else (settings.templates or OURS) / given)

    def _render_head(self, **context: object) -> str:
        try:
            return self._preamble + self._head.render(**context)
        except jinja2.TemplateError as error:
            raise InvalidTemplate(f"template of the configuration: {explained(error)}") from None

    def _snippet_of(
        self, service: Service, backends: Iterable[Backend], servers: Mapping[str, tuple[Server, ...]]
    ) -> Snippet:
        """Raises InvalidTemplate, naming the service."""
        try:
            return self._snippet(service, backends, servers)
        except InvalidTemplate as error:
            raise InvalidTemplate(str(error), [service.service_name]) from None

    def _snippet(
        self, service: Service, backends: Iterable[Backend], servers: Mapping[str, tuple[Server, ...]]
    ) -> Snippet:
        """What a service's own templates say of it (docs/guide/templates.md). Raises InvalidTemplate."""
        own = [backend for backend in backends if backend.service is service]
        context = {
            "service": service,
            "destinations": service.destinations,
            "parameters": {**public(service.destinations[0]), **public(service)},
            "backends": [TemplateBackend(b.name, b.port, b.destination, servers[b.name]) for b in own],
        }
        lines, sections, defined = "", "", []
        if service.template_fe_path:
            lines = self._templates.frontend_lines(service.template_fe_path, **context)
        if service.template_be_path:
            written = self._templates.backend_sections(service.template_be_path, **context)
            defined = section_names(written)
            missing = [backend.name for backend in own if backend.name not in defined]
            if missing and not lines:
                raise InvalidTemplate(
                    f"templateBePath: {service.template_be_path}: the service's routes lead to the backend"
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

    def _rewriting(self, rewrite: Rewrite) -> Rewriting:
        search = limited(rewrite.search) if self._match_limits else rewrite.search
        return Rewriting(search, rewrite.replace, reach_of([rewrite.search]))

    def _compared(self, condition: Condition | Choice) -> Compared:
        return Compared(condition.method, condition.values, self._match_limits)

    def _lists(self, conditions: Iterable[Condition | Choice]) -> dict[str, bytes]:
        """The files of values that go with the head."""
        lists: dict[str, bytes] = {}
        for condition in conditions:
            lists |= self._compared(condition).files
        return lists

    def _section(self, backend: Backend) -> Section:
        known = self._sections.get(backend.name)
        if known and known[0] is backend:
            return known[1]
        service, destination = backend.service, backend.destination
        text = self._text(backend)
        options = [_POOL]
        for feature in FEATURES:
            options += feature.server_options(service, destination) if feature.server_options else ()
        sticky = service.session_type == "sticky-server"
        shape = self._shape(text, backend) if destination.req_mode == "http" and not sticky else None
        section = Section(text, " ".join(options), sticky, shape)
        self._sections[backend.name] = (backend, section)
        return section

    def _block(self, name: str, section: Section, servers: tuple[Server, ...]) -> str:
        known = self._blocks.get(name)
        if known and known[0] is section and known[1] is servers:
            return known[2]
        text = "\n".join([section.text, *(server_line(server, section) for server in servers), ""])
        self._blocks[name] = (section, servers, text)
        return text

    def _text(self, backend: Backend) -> str:
        template = self._backend if backend.destination.req_mode == "http" else self._tcp
        return template.render(
            backend=backend,
            values=self._values.slots(backend),
            parts=_PARTS["http" if backend.destination.req_mode == "http" else "tcp"],
            service=backend.service,
            destination=backend.destination,
            settings=self._settings,
            rewrites=[self._rewriting(rewrite) for rewrite in backend.destination.req_path_search_replace],
            users=users_of(backend.service, self._secrets, self._default_users),
            default_users=self._default_users,
            service_connections=self._service_connections,
            backend_connections=self._share_of_backend(backend.service),
        ).rstrip("\n")

    def _share_of_backend(self, service: Service) -> int | None:
        """What one backend of several may take of the service's connections; None where it is the only one."""
        number = sum(bool(d.port) + bool(d.https_port and d.req_mode == "http") for d in service.destinations)
        if number < 2:
            return None
        return min(self._service_connections, max(_LEAST_CONNECTIONS, self._service_connections // number))

    def _shape(self, text: str, backend: Backend) -> str | None:
        """The lines below the name, when there is nothing else and they are those of the same service by another
        name."""
        lines = _lines(text, backend)
        if lines is None or lines == self._plain:
            return lines
        renamed = backend.service.model_copy(update={"service_name": "another.name", "acl_name": None})
        other = backend._replace(name="another.name-be", service=renamed)
        return lines if _lines(self._text(other), other) == lines else None

    def _placed(self, backend: Backend, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> tuple[Server, ...]:
        found = [endpoints.get(host, ()) for host, _ in backend.targets]
        known = self._servers.get(backend.name)
        if known and known[0] is backend and known[1] == found:
            return known[2]
        servers = _servers(backend, endpoints)
        self._servers[backend.name] = (backend, found, servers)
        return servers

    def _forget_but(self, present: Collection[str]) -> None:
        for known in (self._sections, self._servers, self._blocks):
            if len(known) > 2 * len(present):
                for name in known.keys() - set(present):
                    del known[name]

    @staticmethod
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


def _require_own_names(snippets: Collection[Snippet]) -> None:
    """HAProxy joins ACLs of one name, so that one service's would decide over another's; and of two sections of a name
    it may take the wrong one. Raises InvalidTemplate."""
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


def _lines(text: str, backend: Backend) -> str | None:
    """The lines below the name of a section that has nothing else."""
    before, found, lines = f"{text}\n".partition(f"backend {word(backend.name)}\n")
    return lines if found and before == f"{OWNER}{comment(backend.service.service_name)}\n" else None


def _servers(backend: Backend, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> tuple[Server, ...]:
    alone = len(backend.targets) == 1  # else two services of a group may have one address
    return tuple(
        Server(endpoint.name if alone else f"{endpoint.name}-{port}", endpoint.address, port)
        for host, port in backend.targets
        for endpoint in sorted((Endpoint.of_address(host),) if is_address(host) else endpoints.get(host, ()))
    )


def _page(settings: Settings, folders: list[Path], code: int) -> bytes:
    candidates = [
        settings.errorfiles / f"{code}.http",
        *(folder / "errors" / f"{code}.http" for folder in folders),
    ]
    return next(page for page in candidates if page.is_file()).read_bytes()
