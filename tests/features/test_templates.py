"""Templates of the service's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from featured import PLAIN, configuration, cost

from flowproxy.errors import InvalidService, InvalidTemplate, Untrusted
from flowproxy.features import Change, Defaults
from flowproxy.services.parse import parse


def test_lines_of_a_template_replace_the_routes(tmp_path: Path) -> None:
    template = tmp_path / "web.cfg.j2"
    template.write_text("use_backend {{ backends[0].name }} if { path /{{ destinations[0].user_def }} }\n")
    given = {"templateFePath": str(template), "userDef": "blue"}

    assert "use_backend web-be80_0 if { path /blue }" in configuration(given).head
    assert cost({}, given) is Change.RELOAD


@pytest.mark.parametrize("value", ["templates/x", "/etc\n/passwd", ""])
def test_another_path_than_an_absolute_one_is_refused(value: str) -> None:
    if value:
        with pytest.raises(InvalidService, match="templateBePath"):
            parse({**PLAIN, "templateBePath": value})
    else:
        assert parse({**PLAIN, "templateBePath": value}).template_be_path is None


def test_files_of_the_system_are_no_templates() -> None:
    with pytest.raises(InvalidTemplate, match="may not be read from this folder"):
        configuration({"templateFePath": "/proc/self/environ"})


def test_only_all_configuration_allows_templates() -> None:
    with pytest.raises(Untrusted, match="templateFePath"):
        parse({**PLAIN, "templateFePath": "/x"}, Defaults(raw="safe"))
