"""How a replica proves to another one that a call is its own: HMAC-SHA256 with a key that all replicas have."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.errors import NotSigned

HEADER = "Flowproxy-Signature"

_PURPOSE = "flowproxy call between replicas"  # the key may serve for other things too
_WINDOW_SECONDS = 60


class Call(NamedTuple):
    """The signed parts of a call: everything that determines its effect."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    created: str
    body: bytes

    @classmethod
    def of(cls, method: str, path: str, query: Iterable[tuple[str, str]], created: str, body: bytes) -> Call:
        """Return the call with its query in an order of its own, because HTTP libraries may change it."""
        return cls(method.upper(), path, tuple(sorted(query)), created, body)


def sign(key: bytes, call: Call, now: float) -> str:
    """Return the value of the header for a call that is made now (seconds since 1970)."""
    timestamp = str(int(now))
    return f"{timestamp} {_digest(key, call, timestamp)}"


def verify(key: bytes, call: Call, signature: str, now: float) -> None:
    """Check the header of a call. Raises NotSigned with the reason."""
    timestamp, _, digest = signature.partition(" ")
    if not hmac.compare_digest(digest.encode(errors="replace"), _digest(key, call, timestamp).encode()):
        raise NotSigned(f"{HEADER} does not match the call; do all replicas have the same FLOWPROXY_KEY?")
    apart = now - int(timestamp)
    if abs(apart) > _WINDOW_SECONDS:
        raise NotSigned(
            f"{HEADER} is {abs(apart):.0f} s {'old' if apart > 0 else 'ahead'}, at most {_WINDOW_SECONDS} s are"
            " accepted; are the clocks of the replicas right?"
        )


def _digest(key: bytes, call: Call, timestamp: str) -> str:
    body = hashlib.sha256(call.body).hexdigest()
    # As JSON, because no two calls are the same text in it.
    text = json.dumps([_PURPOSE, call.method, call.path, call.query, call.created, timestamp, body])
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
