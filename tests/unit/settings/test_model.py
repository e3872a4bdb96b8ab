from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.services.parse import parse
from flowproxy.settings.model import Settings


@pytest.mark.parametrize(
    ("raw_config", "token", "expected"),
    [
        (None, None, ("safe", "none", "all")),
        (None, "a-long-token", ("safe", "safe", "all")),
        ("none", "a-long-token", ("none", "none", "none")),
        ("all", None, ("all", "all", "all")),
        ("trusted", None, ("safe", "none", "all")),
    ],
)
def test_what_services_may_write_depends_on_their_source(
    raw_config: str | None, token: str | None, expected: tuple[str, str, str]
) -> None:
    settings = Settings.model_validate({"raw_config": raw_config, "api_token": token})

    levels = (settings.defaults, settings.defaults_for_calls, settings.defaults_for_environment)
    assert tuple(defaults.raw for defaults in levels) == expected


def test_a_tls_port_names_the_list_of_certificates_once_there_is_one() -> None:
    settings = Settings(default_ports=("80", "443:ssl"), state_dir=Path("/state"))

    assert settings.binds(certified=False) == ((80, ""), (443, ""))
    assert settings.binds(certified=True)[1] == (443, " ssl crt-list /state/crt-list.txt alpn h2,http/1.1")
    assert settings.http_ports(certified=True) == {80: False, 443: True}


def test_client_certificates_are_optional_at_the_port() -> None:
    settings = Settings(default_ports=("443:ssl",), ca_file=Path("/ca.pem"))

    assert settings.binds(certified=True)[0][1].endswith(" ca-file /ca.pem verify optional")
    assert settings.asks_for_client_certificates


@pytest.mark.parametrize(
    ("user", "password", "port", "expected"),
    [("a", "b", None, True), ("a", "b", 80, True), ("a", "b", 9000, False), (None, None, None, False)],
)
def test_the_statistics_page_is_on_the_ports_for_traffic_unless_it_has_its_own(
    user: str | None, password: str | None, port: int | None, expected: bool
) -> None:
    settings = Settings.model_validate({"stats_user": user, "stats_pass": password, "stats_port": port})

    assert settings.stats_on_traffic == expected


def test_only_services_for_this_proxy_are_taken_where_that_is_filtered() -> None:
    ours = parse({"serviceName": "a", "servicePath": "/", "port": "80", "proxyInstanceName": "Docker-Flow"})
    others = parse({"serviceName": "a", "servicePath": "/", "port": "80", "proxyInstanceName": "other"})

    assert Settings().takes(others)
    filtering = Settings(filter_proxy_instance_name=True)
    assert (filtering.takes(ours), filtering.takes(others)) == (True, False)


def test_replicas_sign_with_the_key_or_else_the_token() -> None:
    assert Settings().signing_key is None
    assert Settings.model_validate({"api_token": "the-api-token"}).signing_key == b"the-api-token"
    both = Settings.model_validate({"api_token": "the-api-token", "key": "a-key-of-16-chars"})
    assert both.signing_key == b"a-key-of-16-chars"


def test_the_operator_is_advised_to_name_the_proxies_in_front() -> None:
    assert "FLOWPROXY_TRUSTED_PROXIES is not set" in (Settings().advice or "")
    assert Settings(trusted_proxies=()).advice is None


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
