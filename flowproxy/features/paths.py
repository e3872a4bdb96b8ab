"""Paths that are rewritten before the service sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from flowproxy.features.feature import Feature, Parameters
from flowproxy.text.patterns.limits import MOST_REWRITES
from flowproxy.text.values import checked_line


class Rewrite(NamedTuple):
    """A regular expression, and what its first match in the path becomes."""

    search: str
    replace: str


def _rewrites(value: object) -> object:
    """`search,replace` pairs separated by colons."""
    if not isinstance(value, str):
        return value
    pairs = []
    for item in value.split(":"):
        search, comma, replace = item.partition(",")
        if not comma or not search:
            raise ValueError(f"{item!r} is not of the form search,replace")
        pairs.append(Rewrite(checked_line(search), checked_line(replace)))
    return tuple(pairs)


class OfDestination(Parameters):
    """Regular expressions and what they become."""

    req_path_search_replace: Annotated[tuple[Rewrite, ...], BeforeValidator(_rewrites)] = Field(
        (),
        description="`search,replace` pairs separated by colons: an expression and what its first match becomes.",
        examples=["^/shop/,/", "^/store/,/"],
    )


def _modern(parameters: Mapping[str, str]) -> Mapping[str, str]:
    """Put the old pair of parameters first, at every destination."""
    search = parameters.get("reqPathSearch")
    if not search:
        return {}
    first = f"{search},{parameters.get('reqPathReplace', '')}"
    names = [name for name in parameters if name.partition(".")[0] == "reqPathSearchReplace" and parameters[name]]
    given = names or ["reqPathSearchReplace"]
    return {name: ":".join(filter(None, [first, parameters.get(name)])) for name in given}


FEATURE = Feature(
    name="paths",
    destination=OfDestination,
    modes=("http",),
    most={"reqPathSearchReplace": MOST_REWRITES},
    old_names={"reqPathSearch": "reqPathSearchReplace", "reqPathReplace": "reqPathSearchReplace"},
    modern=_modern,
)
