"""The other replicas of this proxy: a call passed on to all of them, and certificates fetched from them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import aiohttp
import structlog
from aiohttp import hdrs

from flowproxy.access import trust_of
from flowproxy.errors import InvalidCertificate, ReplicaFailed
from flowproxy.keyring import Keyring
from flowproxy.names import Names
from flowproxy.settings import Settings

_log = structlog.get_logger(__name__)

_CALL_SECONDS = 45  # a call may wait for a name to resolve
_GREETING_SECONDS = 3


class Reply(NamedTuple):
    address: str
    status: int
    text: str


class Replicas:
    """Found by the name `tasks.<SERVICE_NAME>`, this one among them."""

    def __init__(self, settings: Settings, names: Names, is_listed: Callable[[str], Awaitable[bool]]) -> None:
        self._is_listed = is_listed
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

    async def fetch_certificates(self, keyring: Keyring) -> None:
        """Takes over the certificates of the replica that has most of them; a new one begins with none."""
        addresses = await self._addresses()
        best: list[tuple[str, str]] = []
        async with self._session(_GREETING_SECONDS, {}) as session:
            for address in addresses:
                url = self._url(address, "/v1/docker-flow-proxy/certs")
                try:
                    async with session.get(url) as answer:
                        listed = (await answer.json())["Certs"]
                        found = [(str(item["ProxyServiceName"]), str(item["CertContent"])) for item in listed]
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
                    continue
                best = max(best, found, key=len)
        present = {certificate.name for certificate in keyring.kept()}
        for name, content in best:
            if name in present:
                continue
            try:
                await keyring.put(name, content)
                _log.info("certificate taken over from another replica", certificate=name)
            except (InvalidCertificate, OSError) as error:
                _log.warning("certificate of another replica is not used", certificate=name, reason=str(error))

    async def includes(self, address: str | None) -> bool:
        """Whether a caller is one of them. Its name resolves only when it is healthy; the Swarm knows it before."""
        if address is None:
            return False
        return address in await self._addresses() or await self._is_listed(address)

    async def _addresses(self) -> list[str]:
        return await self._names.ask(f"tasks.{self._settings.service_name}")

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
