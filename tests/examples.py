"""Examples in the documentation, as values: what is deployed, what is called, and what comes back.

An example is a `yaml` block with a stack, and the `console` blocks between it and the next stack. A console block holds
`$ curl …` commands, each followed by the beginning of its output; `...` stands for any lines, or for any text within a
line. A block whose language is followed by a path (```` ```jinja /templates/shop.cfg ````) is a file of the proxy.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any, NamedTuple

import yaml

_BLOCK = re.compile(r"^```(?P<language>\w*)(?: +(?P<path>/\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class StackService(NamedTuple):
    """One service of a stack file: its labels as they are written there, and how many tasks it has."""

    labels: Mapping[str, str]
    replicas: int


class Call(NamedTuple):
    """A command with its arguments, and the lines that its output begins with."""

    arguments: tuple[str, ...]
    expected: tuple[str, ...]


class Example(NamedTuple):
    """A stack with the calls that follow it. `line` is where it begins in its page."""

    line: int
    services: Mapping[str, StackService]
    calls: tuple[Call, ...]
    files: Mapping[str, str]


def read_page(text: str) -> list[Example]:
    """Return the examples of a page. Raises ValueError for a command that is not curl or a label that is no text."""
    examples = [Example(1, {}, (), {})]
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        last = examples[-1]
        if block["language"] == "console":
            examples[-1] = last._replace(calls=(*last.calls, *read_console(block["text"])))
        elif block["path"]:
            examples[-1] = last._replace(files={**last.files, block["path"]: block["text"]})
        elif block["language"] == "yaml" and (services := read_stack(block["text"])):
            examples.append(Example(line, services, (), {}))
    return [example for example in examples if example.services or example.calls]


def read_stack(text: str) -> dict[str, StackService]:
    """Return the services with labels of a stack file; none for any other YAML."""
    document = yaml.safe_load(text)
    described = document.get("services") if isinstance(document, dict) else None
    services = {}
    for name, service in (described or {}).items():
        deploy = service.get("deploy", {})
        if labels := _labels(deploy.get("labels", {})):
            services[name] = StackService(labels, deploy.get("replicas", 1))
    return services


def read_console(text: str) -> list[Call]:
    """Return the calls of a console block, continued lines joined."""
    calls: list[Call] = []
    for line in re.sub(r" *\\\n *", " ", text).splitlines():
        if line.startswith("$ "):
            arguments = tuple(shlex.split(line.removeprefix("$ ")))
            if arguments[0] != "curl":
                raise ValueError(f"{line!r} does not call curl; write other commands into a block that is not console")
            calls.append(Call(arguments, ()))
        elif calls:
            calls[-1] = calls[-1]._replace(expected=(*calls[-1].expected, line))
        elif line:
            raise ValueError(f"{line!r} is the output of no command; begin with $ curl")
    return calls


def matches(expected: Sequence[str], output: str) -> bool:
    """Return whether an output begins with the expected lines."""
    pattern = "".join(_pattern(line.rstrip()) for line in expected)
    text = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
    return re.match(pattern, text) is not None


def interpolate(value: str, variables: Mapping[str, str]) -> str:
    """Return a value with its `${NAME}` replaced, as `docker stack deploy` does; `$$` is a dollar sign. Raises
    KeyError."""
    return Template(value).substitute(variables)


def _labels(given: Any) -> dict[str, str]:
    pairs = dict(label.split("=", 1) for label in given) if isinstance(given, list) else given
    for name, value in pairs.items():
        if not isinstance(value, str):
            raise ValueError(f"{name}: {value!r} is not text, and Docker refuses some of these; put it in quotes")
    return pairs


def _pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    return r".*".join(map(re.escape, line.split("..."))) + r"\n"
