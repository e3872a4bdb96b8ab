"""Writes the reference of parameters and settings from the models: `make docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasChoices

from flowproxy.model import Destination, Parameters, Service
from flowproxy.parameters import DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.settings import Settings

FOLDER = Path(__file__).parent / "reference"


def parameters() -> str:
    return "\n".join(
        [
            "# Parameters",
            "",
            "As labels of a service (`com.df.<name>`, under `deploy: labels:`) and in the query of `reconfigure`.",
            "A service is taken from its labels when `com.df.notify` is `true`.",
            "",
            "## Of a destination",
            "",
            "Each may carry an index (`servicePath.1`); without one it is the default of all that do.",
            "",
            *_table(Destination, DESTINATION_PARAMETERS),
            "",
            "## Of the service",
            "",
            *_table(Service, SERVICE_PARAMETERS),
            "",
        ]
    )


def environment() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable, secret = map(str, alias.choices) if isinstance(alias, AliasChoices) else (name.upper(), name)
        rows.append(f"| `{variable}` | {_default(field.default)} | `{secret}` | {field.description} |")
    return "\n".join(
        [
            "# Environment",
            "",
            "Each variable may also be a file of `/run/secrets`, which then wins. `DOCKER_HOST`, `DOCKER_TLS_VERIFY`,",
            "`DOCKER_CERT_PATH` choose the Docker daemon, as for the `docker` command.",
            "",
            "| variable | default | secret | meaning |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _table(model: type[Parameters], names: dict[str, str]) -> list[str]:
    rows = [
        f"| `{public}` | {_default(model.model_fields[name].get_default())} | {model.model_fields[name].description} |"
        for public, name in names.items()
    ]
    return ["| name | default | meaning |", "| --- | --- | --- |", *rows]


def _default(value: Any) -> str:
    if value is None or value in ((), "") or repr(value) == "PydanticUndefined":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


REFERENCE = {"parameters.md": parameters, "environment.md": environment}

if __name__ == "__main__":
    for file, text in REFERENCE.items():
        (FOLDER / file).write_text(text())
