"""What is read for rendering, and what is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowproxy.control.template_files import ServiceTemplateFiles, read_materials
from flowproxy.errors import InvalidSettings
from flowproxy.rendering.materials import TemplateFile, TemplateTexts, Unreadable
from flowproxy.services.parse import parse
from flowproxy.settings.model import Settings


async def read(settings: Settings, path: Path | str) -> TemplateTexts:
    given = {"serviceName": "a", "servicePath": "/", "port": "80", "templateFePath": str(path)}
    return await ServiceTemplateFiles(settings).read([parse(given)])


async def test_a_template_of_a_service_is_a_regular_file_of_text(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", certs=tmp_path / "certs")
    good, large, binary = (tmp_path / name for name in ("good", "large", "binary"))
    good.write_text("acl a path /")
    large.write_bytes(b"#" * (1 << 20) + b"#")
    binary.write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe")

    assert await read(settings, good) == {str(good): "acl a path /"}
    reasons = {
        large: "it has more than 1048576 bytes",
        binary: "it is not UTF-8 text",
        tmp_path / "pipe": "it is not a regular file; give the path of a text file",
        tmp_path: "it is not a regular file; give the path of a text file",
        tmp_path / "missing": "No such file or directory",
    }
    for path, reason in reasons.items():
        assert await read(settings, path) == {str(path): Unreadable(reason)}


async def test_a_template_lies_in_no_folder_of_secrets_certificates_or_state(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", certs=tmp_path / "certs")
    closed = Unreadable("templates may not be read from this folder")
    for folder in ("state", "certs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("secret")
        (tmp_path / f"link-{folder}").symlink_to(tmp_path / folder / "file")
        for path in (tmp_path / folder / "file", tmp_path / f"link-{folder}", tmp_path / folder / ".." / folder / "x"):
            assert await read(settings, path) == {str(path): closed}
    assert await read(settings, "/proc/self/environ") == {"/proc/self/environ": closed}


async def test_nothing_is_read_for_services_without_templates() -> None:
    plain = parse({"serviceName": "a", "servicePath": "/", "port": "80"})

    assert await ServiceTemplateFiles(Settings()).read([plain]) == {}


def test_templates_of_the_operator_take_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "headers.cfg.j2").write_text("mine")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "base.cfg").write_text("global")
    ours = read_materials(Settings())
    theirs = read_materials(Settings(templates=tmp_path, cfg_template_path=Path("base.cfg")))

    assert theirs.templates["backend/headers.cfg.j2"] == "mine"
    assert theirs.templates["backend/paths.cfg.j2"] == ours.templates["backend/paths.cfg.j2"]
    assert "picture.png" not in theirs.templates
    assert theirs.base == TemplateFile(str(tmp_path / "base.cfg"), "global")


def test_a_base_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=f"template {tmp_path}/missing: No such file"):
        read_materials(Settings(cfg_template_path=tmp_path / "missing"))
