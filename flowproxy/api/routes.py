"""One path of the API with its handler, and how a handler answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from aiohttp import web
from pydantic import BaseModel

ANY = "*"  # method

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A method, or any, and a path as aiohttp's router writes it, such as `/v1/services/{name}`."""

    method: str
    path: str
    handler: Handler


def reply(answer: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer as JSON."""
    text = json.dumps(answer.model_dump(mode="json", by_alias=True))
    return web.json_response(text=text, status=status, headers=headers)
