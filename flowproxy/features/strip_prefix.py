"""Removal of the path prefix under which a service is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from flowproxy.errors import Problem
from flowproxy.features.feature import Change, Defaults, Destinations, Feature, Parameters
from flowproxy.text.values import Flag

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters, ServiceParameters

_MOST_DEPTHS = 10  # different numbers of segments, each of which has lines of its own


class OfDestination(Parameters):
    """Whether the path that led to a destination is removed."""

    strip_prefix: Flag = Field(
        False,
        description="Whether the `servicePath` that matched is removed from the path. The service receives it in"
        " `X-Forwarded-Prefix`. For `pathType` `path_beg` and `path`.",
        examples=["true"],
    )


def prefixes(destination: DestinationParameters) -> Mapping[str, int]:
    """Return the prefixes that are removed, each with its number of segments."""
    found = [path.rstrip("/") for path in destination.service_path]
    return {prefix: prefix.count("/") for prefix in found}


def _check(_: ServiceParameters, destinations: Destinations, __: Defaults) -> Iterable[Problem]:
    for destination in destinations:
        if not destination.strip_prefix:
            continue
        name = f"stripPrefix{destination.suffix}"
        if destination.req_mode != "http":
            yield Problem(name, "", f"is for http; set {name}=false on a {destination.req_mode} destination")
        elif destination.path_type not in ("path_beg", "path"):
            rule = f"needs pathType path_beg or path; with {destination.path_type} no part of the path is its beginning"
            yield Problem(name, "", rule)
        elif not destination.service_path or "" in prefixes(destination):
            yield Problem(name, "", f"needs a servicePath other than /; set {name}=false to remove nothing")
        elif len(set(prefixes(destination).values())) > _MOST_DEPTHS:
            rule = f"the paths have more than {_MOST_DEPTHS} different numbers of segments; divide them among services"
            yield Problem(name, "", rule)


def _values(_: ServiceParameters, destination: DestinationParameters) -> Mapping[str, str]:
    """Return the segments of each prefix. The trailing slash keeps /shop from matching /shopping."""
    if not destination.strip_prefix:
        return {}
    return {f"{prefix}/": str(segments) for prefix, segments in prefixes(destination).items()}


FEATURE = Feature(
    name="strip_prefix",
    destination=OfDestination,
    modes=("http",),
    change=Change.RELOAD,
    check=_check,
    values=_values,
)
