"""The inputs of rendering besides services, read in advance; rendering itself reads no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

PAGES = (400, 403, 405, 408, 413, 429, 500, 502, 503, 504)


class TemplateFile(NamedTuple):
    """A template with the path that an error names it by."""

    path: str
    text: str


class Unreadable(NamedTuple):
    """Why a template of a service cannot be used."""

    reason: str


TemplateTexts: TypeAlias = Mapping[str, str | Unreadable]  # of services, by path as they write it


@dataclass(frozen=True)
class Materials:
    """Texts of files, and facts about HAProxy and this process.

    Args:
        templates: the templates by name, the operator's in place of ours.
        pages: the error pages by file name.
        base: the operator's template of everything but the backends, if there is one.
        secrets: the contents of the secrets with users, by name.
        exporter: whether HAProxy was built with its exporter for Prometheus.
        match_limits: whether HAProxy's regular expressions take a limit in front of them.
        run_user: the user that HAProxy's workers become, where they can.
        chroot: the folder that they lock themselves into, where they can.
        service_connections: how many connections one service may have, unless the settings say it.
    """

    templates: Mapping[str, str]
    pages: Mapping[str, bytes]
    base: TemplateFile | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    exporter: bool = False
    match_limits: bool = False
    run_user: str | None = None
    chroot: str | None = None
    service_connections: int = 2000
