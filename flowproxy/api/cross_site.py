"""Which calls of the API come from a web page of another origin: no page may drive the proxy from its reader's browser.

Browsers say where a request comes from: Sec-Fetch-Site (only to HTTPS and localhost), Origin (not with every GET),
Referer (not if the page forbids it). They always say what language their user reads. A page whose own name was made to
resolve to our address (DNS rebinding) shows that name in Host. Tools such as curl send none of these headers, and are
not affected.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN_SITES = ("same-origin", "none")  # none: the address was typed, or is a bookmark
_BROWSERS_SEND = ("origin", "accept-language")  # and no tool, but by choice
_CHANGING_BY_GET = ("reconfigure", "remove", "reload")


class Asked(NamedTuple):
    """The part of a request that says who made it. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


def objection(asked: Asked, hosts: Collection[str]) -> str | None:
    """Return why a request is not taken, or None when it is.

    Args:
        hosts: names in lower case by which a browser may reach the API, besides addresses and localhost.
    """
    if not _from_browser(asked):
        return None
    host = asked.headers.get("host", "")
    if asked.method == "OPTIONS":
        return "web pages of other origins may not call the API, so that there is no CORS"
    site = asked.headers.get("sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        return f"a web page of another origin may not call the API (Sec-Fetch-Site: {site[:20]}); call it with curl"
    for header in ("origin", "referer"):
        source = asked.headers.get(header)
        if source is not None and not _same_origin(source, host):
            return f"a web page of another origin may not call the API ({header.title()}: {source[:100]!r})"
    if not _is_ours(host, hosts):
        return (
            f"a browser reached the API as {host[:100]!r}, which is not known as its name;"
            " to allow it add the name to FLOWPROXY_API_HOSTS"
        )
    proven = any(header in asked.headers for header in ("sec-fetch-site", "origin", "referer"))
    if not proven and _is_navigation_of_old(asked):
        return (
            "a browser that does not say which page it comes from may not change anything;"
            " call the API with curl, over HTTPS, or on localhost"
        )
    return None


def _from_browser(asked: Asked) -> bool:
    return any(name in _BROWSERS_SEND or name.startswith("sec-fetch-") for name in asked.headers)


def _is_navigation_of_old(asked: Asked) -> bool:
    """Whether it changes something and is a browser's; libraries may send Accept-Language, but call themselves by
    their own name."""
    changes = asked.method not in ("GET", "HEAD") or asked.path.rstrip("/").rpartition("/")[2] in _CHANGING_BY_GET
    return changes and asked.headers.get("user-agent", "").startswith("Mozilla/") and "accept-language" in asked.headers


def _is_ours(host: str, hosts: Collection[str]) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in hosts or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(source: str, host: str) -> bool:
    """Whether a URL is of the host of a request. Its scheme may differ: a proxy in front may speak TLS for us."""
    try:
        there = urlsplit(source)
        here = urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(there.scheme)
        return (
            default is not None
            and there.hostname is not None
            and there.hostname == here.hostname
            and (there.port or default) == (here.port or default)
        )
    except ValueError:
        return False
