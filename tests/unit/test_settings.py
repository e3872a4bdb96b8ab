from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.errors import InvalidSettings
from flowproxy.settings import Settings, misspelt, read_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"FLOWPROXY_{name.upper()}", raising=False)


def test_the_defaults_are_those_that_users_know(tmp_path: Path) -> None:
    settings = read_settings(tmp_path)

    assert (settings.port, settings.default_ports, settings.timeout_server) == (8080, ("80", "443:ssl"), 20)


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEFAULT_PORTS", "80, 1234 accept-proxy")
    monkeypatch.setenv("FLOWPROXY_SWARM", "off")
    settings = read_settings(tmp_path)

    assert settings.binds(certified=False) == ((80, ""), (1234, " accept-proxy"))
    assert settings.traffic_ports == (80, 1234)
    assert settings.swarm == "off"


def test_a_secret_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIMEOUT_SERVER", "30")
    (tmp_path / "dfp_timeout_server").write_text("7\n")

    assert read_settings(tmp_path).timeout_server == 7


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIMEOUT_SERVER", "")

    assert read_settings(tmp_path).timeout_server == 20


def test_every_wrong_value_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("FLOWPROXY_SWARM", "maybe")
    with pytest.raises(InvalidSettings) as error:
        read_settings(tmp_path)

    lines = str(error.value).splitlines()
    assert any(line.startswith("PORT: 'http': ") for line in lines)
    assert any(line.startswith("FLOWPROXY_SWARM: 'maybe': ") for line in lines)


def test_what_is_compressed_is_named_in_plain_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMPRESSION_ALGO", "'")
    with pytest.raises(InvalidSettings, match=r"COMPRESSION_ALGO: \"'\" is not words .* such as gzip"):
        read_settings(tmp_path)


def test_a_port_for_traffic_must_be_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEFAULT_PORTS", "80,https")
    with pytest.raises(InvalidSettings, match="DEFAULT_PORTS: 'https'"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TIMEOUT_SERVR", "TIMEOUT_SERVER"),
        ("DEFAULT_PORT", "DEFAULT_PORTS"),
        ("FLOWPROXY_SWARMS", "FLOWPROXY_SWARM"),
        ("DFP_STATS_PAS", "DFP_STATS_PASS"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_right_one(variable: str, meant: str) -> None:
    assert misspelt([variable]) == {variable: meant}


def test_variables_of_others_are_none_of_our_business() -> None:
    assert (
        misspelt(["PATH", "HOME", "USER", "LANG", "HOSTNAME", "DOCKER_HOST", "IPS", "PORT", "DFP_SERVICE_1_PORT"]) == {}
    )


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
