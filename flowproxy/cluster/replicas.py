"""The other replicas of this proxy: a call passed on to all of them, and certificates that they send each other."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Set
from pathlib import Path
from typing import NamedTuple

import aiohttp
import structlog
from aiohttp import hdrs, web

from flowproxy.cluster.signature import HEADER, Call, sign, verify
from flowproxy.errors import InvalidService, NotReplica, Problem, ReplicaFailed
from flowproxy.services.certificate import Certificate
from flowproxy.settings.model import Settings
from flowproxy.sources.host_names import Names
from flowproxy.sources.own_networks import own_interfaces

_log = structlog.get_logger(__name__)

_CALL_SECONDS = 45  # a call may wait for a name to resolve
_GREETING_SECONDS = 3
_COMPARING_SECONDS = 20
CERTIFICATES = "/v1/docker-flow-proxy/certs"
CREATED = "Flowproxy-Created"

_UNSIGNED = (
    "the replicas of the proxy cannot prove who they are to each other, so each has its own time for when a service"
    " came; set FLOWPROXY_KEY, or the secret flowproxy_key"
)
_ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
# HAProxy adds the first one to what it passes on.
_PASSED_ON = ("X-Forwarded-For", "Forwarded", "Via")


class Reply(NamedTuple):
    address: str
    status: int
    text: str


class Replicas:
    """Found by the name `tasks.<SERVICE_NAME>`, this one among them."""

    def __init__(
        self, settings: Settings, names: Names, listed: Callable[[], Awaitable[Collection[str] | None]]
    ) -> None:
        self._listed = listed
        self._settings = settings
        self._names = names
        self._trust = trust_of(settings.api_cert)
        self._scheme = "http" if self._trust is None else "https"
        token = settings.api_token
        self._key = settings.signing_key
        # The others know this one by the address that it listens on.
        self._local = None if settings.ip in _ANY_ADDRESS else (settings.ip, 0)
        self._has_others = False  # when they were last asked for, or one has called
        self._headers: dict[str, str] = {hdrs.AUTHORIZATION: f"Bearer {token.get_secret_value()}"} if token else {}

    @property
    def warning(self) -> str | None:
        return _UNSIGNED if self._key is None and self._has_others else None

    async def pass_on(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, created: float
    ) -> list[Reply]:
        """Return the replies of all replicas to the same call, first made at `created` (seconds since 1970).

        Raises ReplicaFailed, which names every replica that failed.
        """
        addresses = await self._addresses()
        if not addresses:
            raise ReplicaFailed(
                f"tasks.{self._settings.service_name} does not resolve, so the replicas are not known;"
                " SERVICE_NAME must be the name of the proxy's service"
            )
        own = {**query, "distribute": "false"}
        async with self._session(_CALL_SECONDS) as session, asyncio.TaskGroup() as calls:
            tasks = [
                calls.create_task(self._call(session, address, method, path, own, body, str(created)))
                for address in addresses
            ]
        replies = [task.result() for task in tasks]
        failed = [f"{reply.address}: {reply.text[:300]}" for reply in replies if not 200 <= reply.status < 300]
        if failed:
            raise ReplicaFailed(f"{len(failed)} of {len(replies)} replicas failed: {'; '.join(failed)}")
        return replies

    async def others(self) -> list[str]:
        """Return the addresses of all replicas but this one; none when they are not known."""
        own = {*_own_addresses(), self._settings.ip}
        return [address for address in await self._addresses() if address not in own]

    async def call(self, address: str, path: str, body: str) -> Reply:
        """Return the reply of one replica to a POST; its status is 0 when there is none."""
        async with self._session(_COMPARING_SECONDS) as session:
            return await self._call(session, address, "POST", path, {}, body.encode())

    async def ask_for_certificates(self, present: Set[str]) -> None:
        """Has the replica that knows most certificates send those that are missing here; a new one begins with none.

        They are sent, not fetched: a key goes to an address of the proxy's own tasks, and is in no answer to anybody.
        """
        best, missing = "", 0
        async with self._session(_GREETING_SECONDS) as session:
            for address in await self._addresses():
                try:
                    async with session.get(self._url(address, CERTIFICATES)) as answer:
                        names = {str(item["ProxyServiceName"]) for item in (await answer.json())["Certs"]}
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
                    continue
                if len(names - present) > missing:
                    best, missing = address, len(names - present)
        if best:
            query = {"without": ",".join(sorted(present))}
            async with self._session(_CALL_SECONDS) as session:
                reply = await self._call(session, best, "POST", f"{CERTIFICATES}/send", query, b"")
            _log.info("certificates requested from replica", replica=best, missing=missing, answer=reply.text[:300])

    async def send_certificates(self, address: str, certificates: Iterable[Certificate]) -> None:
        """Send certificates to another replica. Raises ReplicaFailed, which names each rejected one."""
        path = CERTIFICATES.removesuffix("s")
        refused = []
        async with self._session(_CALL_SECONDS) as session:
            for certificate in certificates:
                query = {"certName": certificate.name, "wait": "false", "shared": "false"}
                reply = await self._call(session, address, "PUT", path, query, certificate.pem.encode())
                if reply.status != 200:
                    refused.append(f"{certificate.name}: {reply.text[:300]}")
        if refused:
            raise ReplicaFailed(f"{address} does not take {len(refused)} certificates: {'; '.join(refused[:10])}")

    async def created(self, request: web.Request) -> float | None:
        """Return when a call was first made that another replica passes on; None for a call of anybody else.

        Raises NotSigned, and InvalidService for a time that there cannot be.
        """
        given = request.headers.get(CREATED)
        if given is None or not await self._is_signed(request):
            return None
        try:
            created = float(given)
        except ValueError:
            created = math.nan
        if not 0 <= created < math.inf:
            raise InvalidService("", (Problem(CREATED, given, "must be seconds since 1970"),))
        return created

    async def require(self, request: web.Request) -> str:
        """Return the address of the replica that makes a call. Raises NotReplica for any other caller.

        With a key the call must be signed, and come from an address of theirs, because a signature can be overheard.
        Without one the address alone counts, but not that of HAProxy here or there, which passes on requests of others.
        """
        caller = request.remote or ""
        if self._key and not await self._is_signed(request):
            raise NotReplica(f"only replicas of the proxy may make this call, which sign it ({HEADER})")
        passed_on = caller in _own_addresses() or any(header in request.headers for header in _PASSED_ON)
        if (passed_on and not self._key) or not await self._includes(caller):
            raise NotReplica(f"{caller} is not a replica of the proxy; only replicas may make this call")
        self._has_others = True
        return caller

    async def _is_signed(self, request: web.Request) -> bool:
        """Raises NotSigned for a wrong signature; False when there is none, or no key to check it with."""
        signature = request.headers.get(HEADER)
        if signature is None or self._key is None:
            return False
        created = request.headers.get(CREATED, "")
        call = Call.of(request.method, request.path, request.query.items(), created, await request.read())
        verify(self._key, call, signature, time.time())
        return True

    async def _includes(self, address: str) -> bool:
        """Return whether an address belongs to a replica. The Swarm lists it before its name resolves, which happens
        when it is healthy."""
        listed = await self._listed()
        return address in (await self._addresses() if listed is None else listed)

    async def _addresses(self) -> list[str]:
        """What the name resolves to, without those who only took the name, as far as the Swarm tells."""
        listed = await self._listed()
        found = await self._names.ask(f"tasks.{self._settings.service_name}")
        addresses = [address for address in found if listed is None or address in listed]
        self._has_others = not _own_addresses().issuperset(addresses)
        return addresses

    def _session(self, seconds: float) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds),
            headers=self._headers,
            connector=aiohttp.TCPConnector(ssl=self._trust or True, local_addr=self._local),
        )

    def _url(self, address: str, path: str) -> str:
        return f"{self._scheme}://{_literal(address)}:{self._settings.port}{path}"

    async def _call(
        self,
        session: aiohttp.ClientSession,
        address: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes,
        created: str = "",
    ) -> Reply:
        url = self._url(address, path)
        headers = {CREATED: created} if created else {}
        if self._key:
            headers[HEADER] = sign(self._key, Call.of(method, path, query.items(), created, body), time.time())
        try:
            async with session.request(method, url, params=query, data=body, headers=headers) as answer:
                return Reply(address, answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reply(address, 0, str(error) or type(error).__name__)


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _own_addresses() -> set[str]:
    return {str(interface.ip) for interface in own_interfaces()}


def trust_of(certificate: Path | None) -> ssl.SSLContext | None:
    """What a replica is called with, which has the same certificate: exactly that one is trusted, whatever its name."""
    if certificate is None:
        return None
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
