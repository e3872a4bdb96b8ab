"""The backends as sections of haproxy.cfg, without their servers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flowproxy.features import FEATURES
from flowproxy.features.paths import Rewrite
from flowproxy.rendering.materials import Materials
from flowproxy.rendering.servers import Server
from flowproxy.rendering.templates import Templates
from flowproxy.rendering.values import slots_of
from flowproxy.routing.backends import Backend
from flowproxy.services.model import Service
from flowproxy.services.users import NOBODY, User, complete, users_of
from flowproxy.settings.model import Settings
from flowproxy.text.patterns.cost import limited, reach_of
from flowproxy.text.quoting import comment, word

# Without these options, HAProxy 2.6 keeps no idle connections to a server that is added at run time.
_POOL = "pool-max-conn -1 pool-purge-delay 5s"
_LEAST_CONNECTIONS = 10  # of a backend, however many the service has
# The templates of the features, for each kind of backend.
_PARTS = {
    mode: tuple(f"backend/{feature.name}.cfg.j2" for feature in FEATURES if mode in feature.modes)
    for mode in ("http", "tcp")
}


class Section(NamedTuple):
    """A backend without its servers, and what stands behind the address of each of them.

    `shape` is its text without names, if nothing in it depends on the service: a spare backend of this shape can stand
    in for it. `service` is the name of its service, empty if it has none.
    """

    text: str
    server_options: str
    sticky: bool = False
    shape: str | None = None
    service: str = ""

    def options(self, server: Server) -> str:
        """Return the options with the sticky cookie, which reveals nothing about the cluster and lasts as long as
        the task."""
        if not self.sticky:
            return self.server_options
        return f"{self.server_options} cookie {hashlib.sha256(server.name.encode()).hexdigest()[:16]}"


class Rewriting(NamedTuple):
    """A rewrite as HAProxy does it, of paths that are at most as long as `reach`."""

    search: str
    replace: str
    reach: int


class Rendered(NamedTuple):
    """A section with the values that it looks up, by slot, and the backend that it was made of."""

    backend: Backend
    section: Section
    slots: Mapping[str, str]


class Sections:
    """Renders the sections of backends."""

    def __init__(self, settings: Settings, materials: Materials, templates: Templates) -> None:
        """Raises InvalidTemplate."""
        self._settings = settings
        self._materials = materials
        self._service_connections = service_connections(settings, materials)
        self._default_users = default_users(settings)
        self._http = templates.named("backend.cfg.j2")
        self._tcp = templates.named("tcp.cfg.j2")

    def render(
        self, backends: Iterable[Backend], known: Mapping[str, Rendered], plain: str | None
    ) -> dict[str, Rendered]:
        """Return the section of each backend, by its name; what is `known` of the same backend is the same object.

        Args:
            plain: the shape of a backend of a service that asks for nothing but a route.
        """
        rendered = {}
        for backend in backends:
            before = known.get(backend.name)
            same = before if before and before.backend is backend else None
            rendered[backend.name] = same or self._rendered(backend, plain)
        return rendered

    def _rendered(self, backend: Backend, plain: str | None) -> Rendered:
        service, destination = backend.service, backend.destination
        slots = slots_of(backend)
        text = self._text(backend, slots)
        options = [_POOL]
        for feature in FEATURES:
            options += feature.server_options(service, destination) if feature.server_options else ()
        sticky = service.session_type == "sticky-server"
        shape = self._shape(text, backend, plain) if destination.req_mode == "http" and not sticky else None
        section = Section(text, " ".join(options), sticky, shape, service.service_name)
        return Rendered(backend, section, slots)

    def _text(self, backend: Backend, slots: Mapping[str, str]) -> str:
        is_http = backend.destination.req_mode == "http"
        template = self._http if is_http else self._tcp
        return template.render(
            backend=backend,
            values=slots,
            parts=_PARTS["http" if is_http else "tcp"],
            service=backend.service,
            destination=backend.destination,
            settings=self._settings,
            rewrites=[self._rewriting(rewrite) for rewrite in backend.destination.req_path_search_replace],
            users=users_of(backend.service, self._materials.secrets, self._default_users),
            default_users=self._default_users,
            service_connections=self._service_connections,
            backend_connections=self._share_of_backend(backend.service),
        ).rstrip("\n")

    def _rewriting(self, rewrite: Rewrite) -> Rewriting:
        search = limited(rewrite.search) if self._materials.match_limits else rewrite.search
        return Rewriting(search, rewrite.replace, reach_of([rewrite.search]))

    def _share_of_backend(self, service: Service) -> int | None:
        """What one backend of several may take of the service's connections; None where it is the only one."""
        number = sum(bool(d.port) + bool(d.https_port and d.req_mode == "http") for d in service.destinations)
        if number < 2:
            return None
        return min(self._service_connections, max(_LEAST_CONNECTIONS, self._service_connections // number))

    def _shape(self, text: str, backend: Backend, plain: str | None) -> str | None:
        """The lines below the name, when there is nothing else and they are those of the same service by another
        name."""
        lines = _lines(text, backend)
        if lines is None or lines == plain:
            return lines
        renamed = backend.service.model_copy(update={"service_name": "another.name", "acl_name": None})
        other = backend._replace(name="another.name-be", service=renamed)
        return lines if _lines(self._text(other, slots_of(other)), other) == lines else None


def default_users(settings: Settings) -> tuple[User, ...]:
    """Return the users for services without their own; a user who never matches if none in USERS has a password."""
    users = complete(settings.users, encrypted=settings.users_pass_encrypted)
    return NOBODY if settings.users and not users else users


def service_connections(settings: Settings, materials: Materials) -> int:
    """Return how many connections one service may have."""
    return settings.service_connections or materials.service_connections


def _lines(text: str, backend: Backend) -> str | None:
    """The lines below the name of a section that has nothing else."""
    before, found, lines = f"{text}\n".partition(f"backend {word(backend.name)}\n")
    return lines if found and before == f"# service {comment(backend.service.service_name)}\n" else None
