"""Refuses calls that a web page of another origin makes in the browser of its reader.

Browsers say where a request comes from: Sec-Fetch-Site (to HTTPS and localhost only), Origin (not with every GET) and
Referer (unless the page forbids it). They always send Accept-Language. Where the name of a page was made to resolve to
our address (DNS rebinding), Host holds that name. Tools such as curl send none of these headers and are not affected.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN_SITES = ("same-origin", "none")  # none: the address was typed, or comes from a bookmark
_BROWSERS_SEND = ("origin", "accept-language")  # and tools only by choice
_CHANGING_BY_GET = ("reconfigure", "remove", "reload")


class Caller(NamedTuple):
    """The parts of a request that identify its caller. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


def objection(caller: Caller, hosts: Collection[str]) -> str | None:
    """Return why a request is refused, or None when it is allowed.

    Args:
        hosts: names in lower case by which a browser may reach the API, besides addresses and localhost.
    """
    if not _from_browser(caller):
        return None
    host = caller.headers.get("host", "")
    if caller.method == "OPTIONS":
        return "web pages of other origins may not call the API, so that there is no CORS"
    site = caller.headers.get("sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        return f"a web page of another origin may not call the API (Sec-Fetch-Site: {site[:20]}); call it with curl"
    for header in ("origin", "referer"):
        source = caller.headers.get(header)
        if source is not None and not _same_origin(source, host):
            return f"a web page of another origin may not call the API ({header.title()}: {source[:100]!r})"
    if not _is_ours(host, hosts):
        return (
            f"a browser reached the API as {host[:100]!r}, which is not known as its name;"
            " to allow it add the name to FLOWPROXY_API_HOSTS"
        )
    proven = any(header in caller.headers for header in ("sec-fetch-site", "origin", "referer"))
    if not proven and _is_change_by_old_browser(caller):
        return (
            "a browser that does not say which page it comes from may not change anything;"
            " call the API with curl, over HTTPS, or on localhost"
        )
    return None


def _from_browser(caller: Caller) -> bool:
    return any(name in _BROWSERS_SEND or name.startswith("sec-fetch-") for name in caller.headers)


def _is_change_by_old_browser(caller: Caller) -> bool:
    """Whether a browser may be about to change something; libraries that send Accept-Language have a User-Agent of
    their own."""
    changes = caller.method not in ("GET", "HEAD") or caller.path.rstrip("/").rpartition("/")[2] in _CHANGING_BY_GET
    return (
        changes and caller.headers.get("user-agent", "").startswith("Mozilla/") and "accept-language" in caller.headers
    )


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
    """Return whether a URL has the host of a request. Its scheme may differ: a proxy in front may speak TLS for us."""
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
