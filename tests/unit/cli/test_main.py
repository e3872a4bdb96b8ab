from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from flowproxy import __version__
from flowproxy.cli.main import main


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert result.exit_code == 0
    assert __version__ in result.output


def test_the_help_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert all(f"  {command} " in result.output for command in ("serve", "demo", "healthcheck"))


def test_the_command_imports_no_large_library_before_it_knows_what_to_do() -> None:
    program = (
        "import sys, flowproxy.cli.main; print(sorted({'pydantic', 'aiohttp', 'jinja2', 'docker'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert result.stdout.strip() == "[]"
