"""Writes the reference of parameters and settings from the models: `make docs`."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from flowproxy.features import Parameters
from flowproxy.services.model import Destination, Service
from flowproxy.services.parse import DEPRECATED, DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.settings.model import Settings
from flowproxy.sources.environment import variable_of

FOLDER = Path(__file__).parent / "reference"


def parameters() -> str:
    return "\n".join(
        [
            "# Parameters",
            "",
            "Each is a label of a service (`com.df.<name>`, under `deploy: labels:`), a name in the query of",
            "`reconfigure`, and a variable of the environment: `DFP_SERVICE_<VARIABLE>`, or",
            "`DFP_SERVICE_<n>_<VARIABLE>` for several services.",
            "A service is taken from its labels when `com.df.notify` is `true`.",
            "",
            "## Of a destination",
            "",
            "Each may carry an index (`servicePath.1`, `DFP_SERVICE_SERVICE_PATH_1`); without one it is the default of",
            "all that do.",
            "",
            *_table(Destination, DESTINATION_PARAMETERS),
            "",
            "## Of the service",
            "",
            *_table(Service, SERVICE_PARAMETERS),
            "",
            "## Overlaps",
            "",
            "A more specific route takes requests from any other one, whatever its source. That is listed and logged:",
            "[Overlaps](../guide/routes.md#overlaps).",
            "",
            "## Who owns a host",
            "",
            "With `FLOWPROXY_HOSTS=stack` a host belongs to the stack of the oldest service that asks for it, unless",
            "that service sets `shareHost`: [Who owns a host](../guide/routes.md#who-owns-a-host).",
            "",
            "## Old names",
            "",
            "They still work; the log names each one in use once.",
            "",
            "| old | today |",
            "| --- | --- |",
            *(f"| `{old}` | `{new}` |" for old, new in DEPRECATED.items()),
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
        f"| `{public}` | `{variable_of(public)}` | {_type(model.model_fields[name])} "
        f"| {_default(model.model_fields[name].get_default())} | {_example(model.model_fields[name])} "
        f"| {model.model_fields[name].description} |"
        for public, name in names.items()
    ]
    head = "| name | variable | type | default | example | meaning |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *rows]


def _example(field: FieldInfo) -> str:
    return f"`{field.examples[0]}`" if field.examples else ""


def _type(field: FieldInfo) -> str:
    """In the words of a user: what the value is."""
    options = [option for option in get_args(field.annotation) if option is not NoneType] or [field.annotation]
    kind = options[0]
    if get_origin(field.annotation) is tuple:
        return "list"
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(field.annotation) is Literal or get_origin(kind) is Literal:
        values = get_args(field.annotation) if get_origin(field.annotation) is Literal else get_args(kind)
        return ", ".join(f"`{value}`" for value in values)
    return {bool: "boolean", int: "number"}.get(kind, "text")


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
