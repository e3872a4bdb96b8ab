"""Variables that look like settings and are not."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import AliasChoices

from flowproxy.settings.model import Settings
from flowproxy.text.nearest import nearest

# Not fields: read for the others, by the image, or known from Docker Flow Proxy.
_KNOWN_OTHERS = {"FLOWPROXY_SECRETS", "FLOWPROXY_IMAGE", "DFP_SERVICE", "CERTS"}
_SHORTEST = 8  # characters of a name without our prefix; a shorter one is easily like another
_LIKE_WITH_PREFIX, _LIKE_WITHOUT = 0.6, 0.88


def misspelt(given: Iterable[str]) -> dict[str, str | None]:
    """Return the variables that look like settings and are not, each with the one that was probably meant."""
    known = {name for field in Settings.model_fields for name in _variables(field)} | _KNOWN_OTHERS
    found: dict[str, str | None] = {}
    for name in given:
        if name.upper() in known or name.startswith("DFP_SERVICE_"):
            continue
        ours = name.startswith(("FLOWPROXY_", "DFP_"))
        close = nearest(name, known, _LIKE_WITH_PREFIX if ours else _LIKE_WITHOUT)
        if ours or (close and len(name) >= _SHORTEST):
            found[name] = close
    return found


def _variables(field: str) -> list[str]:
    alias = Settings.model_fields[field].validation_alias
    return [str(choice).upper() for choice in alias.choices] if isinstance(alias, AliasChoices) else [field.upper()]
