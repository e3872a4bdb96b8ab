"""The password hashes that a service may use. HAProxy computes one in its traffic thread for each request.

The cost depends on the hash, which its author chooses. A hash is accepted when crypt() needs less than about 8 ms for
it, and refused when its kind or its rounds are not known to be that cheap.
"""

from __future__ import annotations

import re

MOST_ROUNDS, MOST_BCRYPT_COST = 10_000, 6

_ACCEPTED = re.compile(
    r"[^$_].*"  # traditional DES, or something that crypt() does not know
    r"|\$1\$.*"
    r"|\$[56]\$(?!rounds=).*"  # 5,000 rounds by default
    r"|\$[56]\$rounds=(?P<rounds>[0-9]{1,5})\$.*"
    r"|\$2[aby]\$(?P<cost>[0-9]{2})\$.*"
    r"|\$9\$.*",  # a format of routers, which crypt() does not know, so that no password matches
    re.DOTALL,
)
ACCEPTED = (
    f"$5$ and $6$ with at most rounds={MOST_ROUNDS}, $2a$, $2b$ and $2y$ with a cost of at most"
    f" {MOST_BCRYPT_COST:02}, $1$, and DES"
)


def is_cheap(crypt_hash: str) -> bool:
    """Return whether crypt() needs less than about 8 ms for a password of ordinary length."""
    found = _ACCEPTED.fullmatch(crypt_hash)
    if not found:
        return False
    return int(found["rounds"] or 0) <= MOST_ROUNDS and int(found["cost"] or 0) <= MOST_BCRYPT_COST
