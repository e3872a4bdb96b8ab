"""A path as services may read it: what decides where what looks like another path must not go."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

# What makes a path one that can be read in another way.
ODD = r"//|/\.|[%;\\]"

_DEPTH = 8  # a path that climbs up more often, one step inside the other, has no normal form
_SEGMENT_AND_BACK = r"/(?!\.\.?(?:/|$))[^/]+/\.\.(?=/|$)"
# Patterns and what each of their matches becomes, one after the other (configuration manual, 7.3.1, `regsub`).
STEPS = (
    (r";[^/]*", ""),  # parameters of a segment, which some servers leave out
    (r"[/\\]+", "/"),
    (r"(?:/\.)+(?=/|$)", ""),
    *((_SEGMENT_AND_BACK, ""),) * _DEPTH,
    (r"^(?:/\.\.)+(?=/|$)", ""),
    (r"^$", "/"),
)
# Of the path without escapes: what a segment `..` climbs up from is read in several ways beside these.
CLIMBING = r"[/\\]\.\.(?:[/\\;]|$)"
UNCERTAIN = r"//|[\\;]|%2[fF]|%5[cC]|%3[bB]"
BROKEN = r"%00|%(?![0-9a-fA-F]{2})"


@lru_cache(maxsize=1024)
def normal(path: str) -> str | None:
    """Return a path without escapes, parameters, empty segments and dots; None if it can be read in several ways.

    The result is for comparing alone. templates/frontend/normal.cfg.j2 says the same to HAProxy.
    """
    if not re.search(ODD, path):
        return path
    if re.search(BROKEN, path):
        return None
    text = unquote_to_bytes(path).decode(errors="surrogateescape")
    if re.search(CLIMBING, text) and re.search(UNCERTAIN, path):
        return None
    for pattern, replacement in STEPS:
        text = re.sub(pattern, replacement, text)
    return None if re.search(CLIMBING, text) else text


def comparable(value: str) -> str:
    """Return what a path in a service's parameters is in normal forms; itself where that cannot be written down."""
    form = normal(value)
    return form if form is not None and form.isprintable() else value
