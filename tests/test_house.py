"""Rules of the house that a machine can keep."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web

from flowproxy.api.access import Access
from flowproxy.api.dfp import PREFIXES
from flowproxy.api.server import application

ROOT = Path(__file__).parent.parent


def reference() -> dict[str, Any]:
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return dict(module.REFERENCE)


@pytest.mark.parametrize("file", ["parameters.md", "environment.md"])
def test_the_reference_is_what_the_models_say(file: str) -> None:
    assert (ROOT / "docs" / "reference" / file).read_text() == reference()[file](), "run `make docs`"


def test_every_path_of_the_api_is_documented() -> None:
    """Asks the router itself. What is there under two prefixes is documented under the longer one."""
    documented = (ROOT / "docs" / "reference" / "api.md").read_text()
    access = Mock(spec=Access, middleware=web.middleware(AsyncMock()))
    router = application(access, *(Mock() for _ in range(4))).router
    served = {str(resource.canonical) for resource in router.resources()}
    short = {path.replace(PREFIXES[0], PREFIXES[1], 1) for path in served if path.startswith(PREFIXES[0])}
    paths = {path for path in served - short if not path.endswith("/")}

    assert len(paths) > 20
    assert [path for path in sorted(paths) if path not in re.findall(r"[/\w{}.-]+", documented)] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in link and not (document.parent / link).exists():
                broken.append(f"{document.name}: {link}")
    assert broken == []


def test_every_template_is_used() -> None:
    templates = sorted(ROOT.glob("templates/**/*.j2"))
    texts = "".join(path.read_text() for path in [*templates, *(ROOT / "flowproxy" / "rendering").glob("*.py")])

    assert [path.name for path in ROOT.glob("templates/*.j2") if f'"{path.name}"' not in texts] == []


LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock", "requirements-tools.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_hashes_and_names_no_registry(name: str) -> None:
    lock = (ROOT / name).read_text()
    packages = lock.replace("\\\n", "").splitlines()

    assert len(packages) > 4
    form = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.+]*( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [package for package in packages if not form.fullmatch(package)] == []
    assert "://" not in lock


def test_what_builds_the_image_is_locked_with_the_rest() -> None:
    names = re.compile(r"^([a-z0-9-]+==\S+)", re.MULTILINE)
    build, dev = (set(names.findall((ROOT / name).read_text())) for name in (LOCKS[2], LOCKS[1]))

    assert any(package.startswith("hatchling==") for package in build)
    assert build <= dev


def test_the_base_image_is_pinned_by_its_digest() -> None:
    comment, pin = (ROOT / "docker" / "base.digest").read_text().splitlines()

    assert re.match(r"# Recorded 20\d\d-\d\d-\d\d", comment)
    assert re.fullmatch(r"debian:trixie-slim@sha256:[0-9a-f]{64}", pin)
    assert "ARG BASE=debian:trixie-slim\nFROM ${BASE} AS runtime" in (ROOT / "docker" / "Dockerfile").read_text()
