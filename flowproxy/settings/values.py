"""The kinds of values that settings have beside those of services' parameters."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def _split(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _items(value: object) -> object:
    return _split(value) if isinstance(value, str) else value


def _host_names(value: object) -> object:
    items = _items(value)
    for item in items if isinstance(items, tuple) else ():
        if not _HOST_NAME.fullmatch(item):
            raise ValueError(
                f"{item!r} is not a host name: write names such as proxy.example.org, without scheme and port"
            )
    return items


def _networks(value: object) -> object:
    """Parse IP networks, or `none` for an empty list."""
    if not isinstance(value, str):
        return value
    items = _split(value)
    return () if [item.lower() for item in items] == ["none"] else tuple(map(_network, items))


def _network(item: str) -> str:
    try:
        return str(ipaddress.ip_network(item))
    except ValueError:
        raise ValueError(f"{item!r} is not a network: write networks such as 10.0.0.0/8, or `none`") from None


def _raw_config(value: object) -> object:
    """Read `trusted`, a former name of the default, as unset."""
    return None if value == "trusted" else value


Seconds = Annotated[int, Field(ge=1, le=30 * 86400)]
Items = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)]
HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_host_names)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]
RawConfig = Annotated[Literal["none", "safe", "all"] | None, BeforeValidator(_raw_config)]
