"""The templates, rendered in Jinja2's sandbox: a template sees values, and changes nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from flowproxy.errors import InvalidTemplate
from flowproxy.text import quoting

FILTERS = ("word", "words", "line", "weak", "argument", "duration", "comment")


class Templates:
    """Compiles templates: by name, the operator's in place of ours, or from a text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._environment = _environment(tuple(texts.items()))
        self._alone = self._environment.overlay(loader=None)

    def named(self, name: str) -> jinja2.Template:
        """Raises InvalidTemplate."""
        try:
            return self._environment.get_template(name)
        except jinja2.TemplateError as error:
            raise InvalidTemplate(f"template {name}: {explained(error)}") from None

    def of_operator(self, what: str, text: str) -> jinja2.Template:
        """Compile a template that may include ours; errors begin with `what`. Raises InvalidTemplate."""
        return self._compiled(what, text, self._environment)

    def of_service(self, what: str, text: str) -> jinja2.Template:
        """Compile a template that includes nothing; errors begin with `what`. Raises InvalidTemplate."""
        return self._compiled(what, text, self._alone)

    @staticmethod
    def _compiled(what: str, text: str, environment: jinja2.Environment) -> jinja2.Template:
        try:
            return environment.from_string(text)
        except jinja2.TemplateError as error:
            raise InvalidTemplate(f"{what}: {explained(error)}") from None


@functools.lru_cache(maxsize=2)
def _environment(texts: tuple[tuple[str, str], ...]) -> jinja2.Environment:
    """Return the environment of these templates: to compile ours takes a good part of the time of a start."""
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.DictLoader(dict(texts)),
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(quoting, name) for name in FILTERS}
    return environment


def explained(error: Exception) -> str:
    """Return what is wrong, with the line where Jinja2 knows it."""
    line = getattr(error, "lineno", None)
    return f"line {line}: {error}" if line else str(error) or type(error).__name__
