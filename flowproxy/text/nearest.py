"""Which of the known names a misspelt one means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], likeness: float) -> str | None:
    """Return the known name that is most like the given one; None when none is like it enough.

    Args:
        likeness: from 0, like nothing, to 1, the same.
    """
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)), None)
