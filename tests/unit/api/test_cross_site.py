"""Which calls come from a web page of another origin."""

from __future__ import annotations

import pytest

from flowproxy.api.cross_site import Caller, objection

HOSTS = frozenset({"proxy", "tasks.proxy", "api.example.org"})
CHANGE = "/v1/docker-flow-proxy/reconfigure"
BROWSER = {"user-agent": "Mozilla/5.0 (X11)", "accept-language": "en"}


def _objection(headers: dict[str, str], path: str = CHANGE, method: str = "GET") -> str | None:
    return objection(Caller(method, path, {"host": "10.0.0.5:8080"} | headers), HOSTS)


@pytest.mark.parametrize("host", ["proxy:8080", "x.org", "", "proxy.evil.org", "[", "a b"])
@pytest.mark.parametrize("headers", [{}, {"user-agent": "curl/8"}, {"user-agent": "Mozilla/5.0 PowerShell/5.1"}])
def test_tools_may_call_by_any_name(host: str, headers: dict[str, str]) -> None:
    assert _objection({"host": host} | headers) is None
    assert _objection({"host": host} | headers, method="POST") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": "http://10.0.0.5:8080", "referer": "http://10.0.0.5:8080/a"},
        {"origin": "http://10.0.0.5:8080"},
        {"host": "proxy", "origin": "http://proxy"},
        {"host": "proxy:80", "origin": "http://PROXY"},
        {"host": "api.example.org", "origin": "https://api.example.org"},  # TLS ends at a proxy in front
        {"host": "localhost:8080", "sec-fetch-site": "none"},
        {"host": "x.localhost:8080", "sec-fetch-site": "none"},
        {"host": "[::1]:8080", "sec-fetch-site": "none"},
        {"host": "Proxy.:8080", "sec-fetch-site": "none"},
    ],
)
def test_pages_of_the_api_itself_may_call(headers: dict[str, str]) -> None:
    assert _objection(BROWSER | headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "same-origin, cross-site"},  # the header twice
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.org"},
        {"origin": "http://10.0.0.5"},
        {"origin": "http://10.0.0.5:8081"},
        {"origin": "http://10.0.0.5:8080, http://evil.org"},
        {"origin": "http://10.0.0.5:8080.evil.org"},
        {"origin": "http://evil.org@[10.0.0.5:8080"},
        {"origin": "chrome-extension://10.0.0.5:8080"},
        {"referer": "http://evil.org/", "accept-language": "en"},
        {"sec-fetch-mode": "cors", "origin": "http://evil.org"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [CHANGE, "/metrics", "/v1/status", "/v1/ping"])
def test_pages_of_other_origins_may_not(headers: dict[str, str], method: str, path: str) -> None:
    assert "another origin" in (_objection(headers, path, method) or "")


@pytest.mark.parametrize("host", ["evil.org:8080", "", "10.0.0.5.evil.org", "proxy.evil.org", "2130706433", "[", "a b"])
@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-dest": "empty"}, BROWSER])
def test_a_browser_needs_a_name_that_is_known(host: str, headers: dict[str, str]) -> None:
    assert "FLOWPROXY_API_HOSTS" in (_objection(headers | {"host": host}) or "")


def test_a_browser_changes_nothing_without_saying_where_it_comes_from() -> None:
    for path in ("reconfigure", "reconfigure/", "remove", "reload"):
        assert "does not say" in (_objection(BROWSER, f"/v1/{path}") or "")
    assert "does not say" in (_objection(BROWSER, "/v1/cert", "PUT") or "")
    assert _objection(BROWSER, "/v1/status") is None
    assert _objection({"sec-fetch-mode": "cors", "accept-language": "*", "user-agent": "node"}) is None


def test_there_is_no_cors() -> None:
    headers = {"origin": "http://10.0.0.5:8080", "access-control-request-method": "PUT"}
    assert "CORS" in (_objection(headers, method="OPTIONS") or "")
