"""Reads the variables of this process and the files of its secrets, once. A secret `dfp_<name>` wins over the variable.

Nothing else in the program reads either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from flowproxy.errors import InvalidSettings, Problem
from flowproxy.settings.model import Settings, Surroundings
from flowproxy.text.validation import rule_of

_SECRET = {"STATS_PASS", "USERS", "FLOWPROXY_API_TOKEN", "FLOWPROXY_KEY"}
_USERS = "dfp_users_"


def read_settings() -> Settings:
    """Return the settings of this process. Raises InvalidSettings with a line for each mistake."""
    environment = dict(os.environ)  # noqa: TID251 - the one place that reads it
    secrets = Path(environment.get("FLOWPROXY_SECRETS") or "/run/secrets")
    try:
        settings = Settings(_secrets_dir=secrets if secrets.is_dir() else None)
        settings = settings.model_copy(update=_statistics(settings, environment, secrets))
    except ValidationError as error:
        raise InvalidSettings("\n".join(_mistakes(error))) from None
    _check_ports(settings)
    _check_captures(settings)
    return settings.within(Surroundings(environment, secrets, _user_secrets(secrets)))


def _statistics(settings: Settings, environment: Mapping[str, str], secrets: Path) -> dict[str, Any]:
    """Return the settings of the statistics page that have names chosen by the operator (STATS_USER_ENV, …)."""
    found: dict[str, Any] = {}
    for field in ("stats_user", "stats_pass", "stats_uri"):
        name = getattr(settings, f"{field}_env")
        if name == field.upper():
            continue
        secret = secrets / f"dfp_{name.lower()}"
        value = secret.read_text().strip() if secret.is_file() else environment.get(name)
        if value:
            found[field] = SecretStr(value) if field == "stats_pass" else value
    return found


def _user_secrets(secrets: Path) -> dict[str, str]:
    files = (path for path in secrets.glob(f"{_USERS}*") if path.is_file())
    return {path.name.removeprefix(_USERS): path.read_text() for path in files}


def _mistakes(error: ValidationError) -> list[str]:
    """Return a line for each wrong value; the values of secrets are not shown."""
    lines = []
    for wrong in error.errors():
        name = str(wrong["loc"][0]).upper()
        rule = rule_of(wrong)
        problem = Problem(name, str(wrong["input"]), rule)
        lines.append(f"{name}: (hidden): {rule}" if name in _SECRET else str(problem))
    return lines


def _check_ports(settings: Settings) -> None:
    for item in (*settings.default_ports, *settings.bind_ports):
        port = item.replace(":ssl", "").split()[0]
        if not (port.isdigit() and 0 < int(port) < 65536):
            raise InvalidSettings(f"DEFAULT_PORTS: {item!r}: must begin with a port from 1 to 65535")


def _check_captures(settings: Settings) -> None:
    for item in settings.capture_request_header:
        name, _, length = item.partition(":")
        if not name or not length.isdigit():
            raise InvalidSettings(f"CAPTURE_REQUEST_HEADER: {item!r}: must be of the form Name:length")
