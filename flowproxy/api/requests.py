"""Values read from a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web

from flowproxy.errors import InvalidService, Problem
from flowproxy.routing.conditions import Request
from flowproxy.text.booleans import is_true
from flowproxy.text.secrets import without_secrets

_LONGEST_URL = 8192


async def parameters_of(request: web.Request) -> dict[str, str]:
    """Return the parameters of the query and of a form, as Docker Flow Proxy reads them. The first value of a repeated
    key counts."""
    given = dict(reversed(list(request.query.items())))
    if request.content_type == "application/x-www-form-urlencoded":
        form = await request.post()
        given = {key: value for key, value in form.items() if isinstance(value, str)} | given
    return given


def is_distributed(parameters: Mapping[str, str]) -> bool:
    """Return whether a call is meant for all replicas."""
    return is_true(parameters.get("distribute", ""))


def request_for(url: str) -> Request:
    """Return the GET request that a client would make for a whole URL. Raises ValueError with the reason."""
    if len(url) > _LONGEST_URL:
        rule = f"has {len(url)} characters; give one with at most {_LONGEST_URL}"
        raise ValueError(str(Problem("url", url, rule)))
    wrong = Problem("url", without_secrets(url), "give a whole one, such as ?url=http://example.org/api")
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise ValueError(str(wrong)) from None
    if not parts.hostname:
        raise ValueError(str(wrong))
    return Request(parts.hostname, parts.path or "/", port)


def json_object(text: str) -> Mapping[str, object]:
    """Return the object that a body holds. Raises InvalidService when it is not an object."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidService("", (Problem("the body", "", "must be a JSON object"),))
    return given
