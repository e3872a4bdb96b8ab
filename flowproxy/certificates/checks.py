"""HAProxy's own verdict on a certificate, before it is kept or used: Python reads more than HAProxy takes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

from flowproxy.errors import Rejected
from flowproxy.services.certificate import Certificate, read_certificate, sound_pem, weaknesses

Check: TypeAlias = Callable[[Sequence[Certificate]], Awaitable[None]]

_REMEMBERED = 10_000
_FILE = re.compile(r" 'certs/[^']*'")


class CertificateChecks:
    """Asks HAProxy once for each content. Those that come at the same time are checked together, and halved only when
    HAProxy refuses them, so that a folder of many costs little more than one."""

    def __init__(self, check: Check) -> None:
        """`check` raises Rejected when HAProxy does not start with these certificates alone, and ProxyUnavailable or
        OSError when it cannot be asked."""
        self._check = check
        self._verdicts: dict[str, str | None] = {}  # digest of the content -> why it is refused
        self._waiting: dict[str, Certificate] = {}
        self._asking = asyncio.Lock()

    async def refusals(self, certificates: Iterable[Certificate]) -> dict[str, str]:
        """Return why HAProxy refuses a certificate, by its PEM; those that it takes are missing.

        One is not blamed for a configuration that HAProxy refuses with any certificate: the round says what is wrong
        there. Raises ProxyUnavailable or OSError when HAProxy cannot be asked.
        """
        wanted = {_digest(certificate): certificate for certificate in certificates}
        if unknown := self._unknown(wanted):
            self._waiting |= unknown
            async with self._asking:
                if unknown := self._unknown(wanted):
                    batch, self._waiting = self._waiting | unknown, {}
                    await self._judge(list(self._unknown(batch).items()))
        return {
            certificate.pem: reason
            for digest, certificate in wanted.items()
            if (reason := self._verdicts.get(digest)) is not None
        }

    def _unknown(self, certificates: dict[str, Certificate]) -> dict[str, Certificate]:
        return {digest: one for digest, one in certificates.items() if digest not in self._verdicts}

    async def _judge(self, suspects: list[tuple[str, Certificate]]) -> None:
        numbered = [one._replace(name=f"certificate-{number}") for number, (_, one) in enumerate(suspects)]
        try:
            await self._check(numbered)
        except Rejected as error:
            if len(suspects) > 1:
                half = len(suspects) // 2
                await self._judge(suspects[:half])
                await self._judge(suspects[half:])
            elif await self._takes_a_sound_one():
                self._remember(suspects[0][0], _reason(suspects[0][1], str(error)))
            return
        for digest, _ in suspects:
            self._remember(digest, None)

    async def _takes_a_sound_one(self) -> bool:
        try:
            await self._check([read_certificate("sound", sound_pem())])
        except Rejected:
            return False
        return True

    def _remember(self, digest: str, reason: str | None) -> None:
        self._verdicts[digest] = reason
        if len(self._verdicts) > _REMEMBERED:
            del self._verdicts[next(iter(self._verdicts))]


def _digest(certificate: Certificate) -> str:
    return hashlib.sha256(certificate.pem.encode()).hexdigest()


def _reason(certificate: Certificate, said: str) -> str:
    """HAProxy's words without the place in a configuration that nobody sees, and what we know of the cause."""
    words = _FILE.sub("", said.rpartition(" : ")[2]).partition(" Make sure ")[0].strip(" .")
    return "; ".join([f"HAProxy rejects it: {words}", *weaknesses(certificate)])
