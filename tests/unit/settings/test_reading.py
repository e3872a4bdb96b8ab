from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.errors import InvalidSettings
from flowproxy.settings.reading import read_settings


def test_the_defaults_are_those_that_users_know() -> None:
    settings = read_settings()

    assert (settings.port, settings.default_ports, settings.timeout_server) == (8080, ("80", "443:ssl"), 20)


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_PORTS", "80, 1234 accept-proxy")
    monkeypatch.setenv("FLOWPROXY_SWARM", "off")
    settings = read_settings()

    assert settings.binds(certified=False) == ((80, ""), (1234, " accept-proxy"))
    assert settings.traffic_ports == (80, 1234)
    assert settings.swarm == "off"


def test_a_secret_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    monkeypatch.setenv("TIMEOUT_SERVER", "30")
    (secrets / "dfp_timeout_server").write_text("7\n")

    assert read_settings().timeout_server == 7


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEOUT_SERVER", "")

    assert read_settings().timeout_server == 20


def test_every_wrong_value_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("FLOWPROXY_SWARM", "maybe")
    with pytest.raises(InvalidSettings) as error:
        read_settings()

    lines = str(error.value).splitlines()
    assert any(line.startswith("PORT: 'http': ") for line in lines)
    assert any(line.startswith("FLOWPROXY_SWARM: 'maybe': ") for line in lines)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWPROXY_API_TOKEN", "short")
    with pytest.raises(InvalidSettings, match=r"FLOWPROXY_API_TOKEN: \(hidden\): ") as error:
        read_settings()

    assert "'short'" not in str(error.value)


def test_media_types_to_compress_are_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSION_ALGO", "'")
    with pytest.raises(InvalidSettings, match=r"COMPRESSION_ALGO: \"'\" is not words .* such as gzip"):
        read_settings()


def test_a_port_for_traffic_must_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_PORTS", "80,https")
    with pytest.raises(InvalidSettings, match="DEFAULT_PORTS: 'https'"):
        read_settings()


@pytest.mark.parametrize("header", ["Host", ":20", "Host:long"])
def test_a_captured_header_has_a_name_and_a_length(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    monkeypatch.setenv("CAPTURE_REQUEST_HEADER", header)
    with pytest.raises(InvalidSettings, match=r"CAPTURE_REQUEST_HEADER: .* must be of the form Name:length"):
        read_settings()


def test_the_operator_chooses_the_names_of_the_statistics_credentials(
    monkeypatch: pytest.MonkeyPatch, secrets: Path
) -> None:
    monkeypatch.setenv("STATS_USER_ENV", "MY_USER")
    monkeypatch.setenv("STATS_PASS_ENV", "MY_PASS")
    monkeypatch.setenv("MY_USER", "admin")
    (secrets / "dfp_my_pass").write_text("secret\n")
    settings = read_settings()

    assert settings.stats_user == "admin"
    assert settings.stats_pass is not None
    assert settings.stats_pass.get_secret_value() == "secret"


def test_variables_and_secrets_are_read_once(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    (secrets / "dfp_users_team").write_text("jo:pw")
    monkeypatch.setenv("TZ", "UTC")
    settings = read_settings()
    (secrets / "dfp_users_team").write_text("eve:pw")
    (secrets / "dfp_users_other").write_text("eve:pw")
    monkeypatch.setenv("TZ", "CET")

    assert settings.secrets == secrets
    assert settings.environment["TZ"] == "UTC"
    assert settings.user_secrets == {"team": "jo:pw"}
    assert settings.defaults.secret_users == {"team": frozenset({"jo"})}


def test_secrets_and_variables_are_not_part_of_the_text_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, secrets: Path
) -> None:
    (secrets / "dfp_users_team").write_text("jo:very-secret")
    monkeypatch.setenv("SOMETHING", "very-secret")

    assert "very-secret" not in repr(read_settings())
