"""The normal form of a path, as a service may read it: other spellings of a path must not pass its protection."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

# Characters that let a path be read in another way.
ODD = r"//|/\.|[%;\\]"

_DEPTH = 8  # a path with more nested `..` has no normal form
_SEGMENT_AND_BACK = r"/(?!\.\.?(?:/|$))[^/]+/\.\.(?=/|$)"
# Patterns with their replacements, applied one after the other (configuration manual, 7.3.1, `regsub`).
STEPS = (
    (r";[^/]*", ""),  # parameters of a segment, which some servers ignore
    (r"[/\\]+", "/"),
    (r"(?:/\.)+(?=/|$)", ""),
    *((_SEGMENT_AND_BACK, ""),) * _DEPTH,
    (r"^(?:/\.\.)+(?=/|$)", ""),
    (r"^$", "/"),
)
# `..` in the decoded path. Beside what UNCERTAIN matches, servers differ in what it climbs up from.
CLIMBING = r"[/\\]\.\.(?:[/\\;]|$)"
UNCERTAIN = r"//|[\\;]|%2[fF]|%5[cC]|%3[bB]"
BROKEN = r"%00|%(?![0-9a-fA-F]{2})"


@lru_cache(maxsize=1024)
def normal(path: str) -> str | None:
    """Return a path without escapes, parameters, empty segments and dots; None if it can be read in several ways.

    The result serves comparisons only. templates/frontend/normal.cfg.j2 does the same in HAProxy.
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
    """Return the normal form of a path in a service's parameters; the path itself if the form is not printable."""
    form = normal(value)
    return form if form is not None and form.isprintable() else value
