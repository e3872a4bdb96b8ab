"""The other replicas of this proxy: a call passed on to all of them, and certificates that they send each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import aiohttp
import structlog
from aiohttp import hdrs

from flowproxy.access import trust_of
from flowproxy.certificate import Certificate
from flowproxy.errors import ReplicaFailed
from flowproxy.keyring import Keyring
from flowproxy.names import Names
from flowproxy.settings import Settings

_log = structlog.get_logger(__name__)

_CALL_SECONDS = 45  # a call may wait for a name to resolve
_GREETING_SECONDS = 3
CERTIFICATES = "/v1/docker-flow-proxy/certs"


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
        self._headers: dict[str, str] = {hdrs.AUTHORIZATION: f"Bearer {token.get_secret_value()}"} if token else {}

    async def pass_on(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> list[Reply]:
        """The replies of all replicas to the same call. Raises ReplicaFailed with every one that did not do it."""
        addresses = await self._addresses()
        if not addresses:
            raise ReplicaFailed(
                f"tasks.{self._settings.service_name} does not resolve, so the replicas are not known;"
                " SERVICE_NAME must be the name of the proxy's service"
            )
        own = {**query, "distribute": "false"}
        async with self._session(_CALL_SECONDS, headers) as session, asyncio.TaskGroup() as calls:
            tasks = [calls.create_task(self._call(session, address, method, path, own, body)) for address in addresses]
        replies = [task.result() for task in tasks]
        failed = [f"{reply.address}: {reply.text[:300]}" for reply in replies if not 200 <= reply.status < 300]
        if failed:
            raise ReplicaFailed(f"{len(failed)} of {len(replies)} replicas did not do it: {'; '.join(failed)}")
        return replies

    async def ask_for_certificates(self, keyring: Keyring) -> None:
        """Has the replica that knows most certificates send those that are missing here; a new one begins with none.

        They are sent, not fetched: a key goes to an address of the proxy's own tasks, and is in no answer to anybody.
        """
        present = {certificate.name for certificate in keyring.kept()}
        best, missing = "", 0
        async with self._session(_GREETING_SECONDS, {}) as session:
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
            async with self._session(_CALL_SECONDS, {}) as session:
                reply = await self._call(session, best, "POST", f"{CERTIFICATES}/send", query, b"")
            _log.info("certificates asked of another replica", replica=best, missing=missing, answer=reply.text[:300])

    async def send_certificates(self, address: str, certificates: Iterable[Certificate]) -> None:
        """To another replica, which keeps them. Raises ReplicaFailed with each that it does not take."""
        path = CERTIFICATES.removesuffix("s")
        refused = []
        async with self._session(_CALL_SECONDS, {}) as session:
            for certificate in certificates:
                query = {"certName": certificate.name, "wait": "false"}
                reply = await self._call(session, address, "PUT", path, query, certificate.pem.encode())
                if reply.status != 200:
                    refused.append(f"{certificate.name}: {reply.text[:300]}")
        if refused:
            raise ReplicaFailed(f"{address} does not take {len(refused)} certificates: {'; '.join(refused[:10])}")

    async def includes(self, address: str) -> bool:
        """Whether a caller is one of them. The Swarm knows it before its name resolves, which it does when it is
        healthy."""
        listed = await self._listed()
        return address in (await self._addresses() if listed is None else listed)

    async def _addresses(self) -> list[str]:
        """What the name resolves to, without those who only took the name, as far as the Swarm tells."""
        listed = await self._listed()
        found = await self._names.ask(f"tasks.{self._settings.service_name}")
        return [address for address in found if listed is None or address in listed]

    def _session(self, seconds: float, headers: Mapping[str, str]) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds),
            headers={**self._headers, **headers},
            connector=aiohttp.TCPConnector(ssl=self._trust or True),
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
    ) -> Reply:
        url = self._url(address, path)
        try:
            async with session.request(method, url, params=query, data=body) as answer:
                return Reply(address, answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reply(address, 0, str(error) or type(error).__name__)


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address
