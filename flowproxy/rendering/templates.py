"""The templates: ours, those that an operator puts in their place, and those that a service brings along.

All are rendered in Jinja2's sandbox: a template sees values, and changes nothing.
"""

from __future__ import annotations

import functools
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from flowproxy.errors import InvalidTemplate
from flowproxy.text import quoting
from flowproxy.text.lines import require_network_addresses

OURS = next(
    folder
    for folder in (Path(__file__).parents[1] / "templates", Path(__file__).parents[2] / "templates")
    if folder.is_dir()
)
FILTERS = ("word", "words", "line", "weak", "argument", "duration", "comment")

_LARGEST = 1 << 20
_NAMED = re.compile(r"[\w-]+[ \t]+(?P<name>[\w.:-]+)(?:[ \t].*)?", re.ASCII)
_FOR_BACKENDS = frozenset({"backend", "listen", "userlist", "resolvers", "cache", "fcgi-app", "http-errors"})


class Templates:
    """`folders` are searched in their order; no service may bring a file that lies below one of `closed`."""

    def __init__(self, folders: Iterable[Path], closed: Iterable[Path] = ()) -> None:
        self._closed = tuple(path.resolve() for path in (*closed, *map(Path, ("/proc", "/sys", "/dev"))))
        self._environment = _environment(tuple(folders))

    def named(self, name: str) -> jinja2.Template:
        """Raises InvalidTemplate."""
        try:
            return self._environment.get_template(name)
        except jinja2.TemplateError as error:
            raise InvalidTemplate(f"template {name}: {explained(error)}") from None

    def of_file(self, path: Path) -> jinja2.Template:
        """A template of the operator's, which may include ours. Raises InvalidTemplate."""
        return self._compiled(f"template {path}", path, self._environment)

    def frontend_lines(self, path: str, **context: object) -> str:
        """What a service's template for the frontend says: lines of it, and no section. Raises InvalidTemplate."""
        what = f"templateFePath: {path}"
        text = self._of_service(what, path, context)
        for line, keyword in _meaningful(what, text):
            if keyword in quoting.SECTIONS:
                raise InvalidTemplate(f"{what}: {line!r} begins a section; give lines of the frontend")
        return text

    def backend_sections(self, path: str, **context: object) -> str:
        """What a service's template for backends says: whole sections. Raises InvalidTemplate."""
        what = f"templateBePath: {path}"
        text = self._of_service(what, path, context)
        lines = list(_meaningful(what, text))
        if not lines or lines[0][1] not in quoting.SECTIONS:
            raise InvalidTemplate(f"{what}: it must begin with a section, such as `backend {{name}}`")
        for line, keyword in lines:
            if keyword in quoting.SECTIONS - _FOR_BACKENDS:
                raise InvalidTemplate(f"{what}: {line!r} would change what is not the service's")
            if keyword in quoting.SECTIONS and not _NAMED.fullmatch(line):
                raise InvalidTemplate(f"{what}: {line!r} must be `{keyword} name`, with a name without quotes")
        return text

    def _of_service(self, what: str, path: str, context: dict[str, object]) -> str:
        real = Path(path).resolve()
        if any(real.is_relative_to(folder) for folder in self._closed):
            raise InvalidTemplate(f"{what}: files of this folder are not for templates")
        overlay = self._environment.overlay(loader=None)  # one file: it includes nothing
        template = self._compiled(what, real, overlay)
        try:
            text = template.render(context).strip("\n")
            require_network_addresses({*text.split("\n"), *text.splitlines()})
        except Exception as error:  # noqa: BLE001 - whatever a template of a user's raises is its own fault
            raise InvalidTemplate(f"{what}: {explained(error)}") from None
        return text

    @staticmethod
    def _compiled(what: str, path: Path, environment: jinja2.Environment) -> jinja2.Template:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # to read a pipe would never end
                raise InvalidTemplate(f"{what}: it is no regular file; give the path of a text file")
            if status.st_size > _LARGEST:
                raise InvalidTemplate(f"{what}: it has more than {_LARGEST} bytes")
            return environment.from_string(path.read_text())
        except OSError as error:
            raise InvalidTemplate(f"{what}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidTemplate(f"{what}: it is no text in UTF-8") from None
        except jinja2.TemplateError as error:
            raise InvalidTemplate(f"{what}: {explained(error)}") from None


@functools.lru_cache(maxsize=2)
def _environment(folders: tuple[Path, ...]) -> jinja2.Environment:
    """Return the environment of these folders: to compile our templates takes a quarter of the time of a start."""
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(quoting, name) for name in FILTERS}
    return environment


def section_names(sections: str) -> list[str]:
    """Return the names of the sections that `backend_sections` gave."""
    lines = (line.strip() for line in sections.splitlines())
    found = (_NAMED.fullmatch(line) for line in lines if quoting.keyword(line) in quoting.SECTIONS)
    return [named["name"] for named in found if named]


def explained(error: Exception) -> str:
    """What is wrong, with the line where Jinja2 tells it."""
    line = getattr(error, "lineno", None)
    return f"line {line}: {error}" if line else str(error) or type(error).__name__


def _meaningful(what: str, text: str) -> Iterable[tuple[str, str]]:
    """Every line with its keyword."""
    for line in map(str.strip, text.splitlines()):
        try:
            keyword = quoting.keyword(line)
        except ValueError as error:
            raise InvalidTemplate(f"{what}: {error}") from None
        if keyword:
            yield line, keyword
