"""Our own paths: services, routes, explanations, and how this replica is."""

from __future__ import annotations

from collections import Counter

from api_client import Stage

from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.commands import ServerHealth
from flowproxy.haproxy.plan import Cause
from flowproxy.services.registry import Origin

TOKEN = "correct horse battery staple"  # noqa: S105 - not one of anybody


def two() -> Stage:
    stage = Stage()
    stage.add(serviceName="web", servicePath="/", port="80")
    stage.add(serviceName="api", servicePath="/api", port="80")
    return stage


async def test_services_are_listed_by_name_also_those_that_were_never_right() -> None:
    stage = two()
    stage.registry.refuse("bad", Origin.SWARM, "port: is missing")
    async with stage.client() as client:
        listed = await (await client.get("/v1/services")).json()
        assert [service["name"] for service in listed] == ["api", "bad", "web"]
        assert await (await client.get("/v1/services/web")).json() == listed[2]
        assert [overlap["taker"] for overlap in listed[2]["overlaps"]] == ["api"]
        unknown = await client.get("/v1/services/unknown")
        assert (unknown.status, await unknown.json()) == (404, {"error": "there is no service unknown"})


async def test_routes_are_listed_the_most_specific_first() -> None:
    async with two().client() as client:
        routes = await (await client.get("/v1/routes")).json()
    assert [(route["path"], route["service"], route["conditions"]) for route in routes] == [
        ("/api", "api", []),
        ("/", "web", []),
    ]


async def test_a_url_is_explained_or_refused() -> None:
    stage = two()
    stage.statistics.health.return_value = [ServerHealth("web.1", "10.0.0.1:80", "UP", "L4OK")]
    async with stage.client() as client:
        found = await (await client.get("/v1/explain", params={"url": "http://example.org/api"})).json()
        assert (found["route"]["service"], found["servers"][0]["address"]) == ("api", "10.0.0.1:80")
        stage.statistics.health.side_effect = ProxyUnavailable("no answer")
        found = await (await client.get("/v1/explain", params={"url": "http://example.org/api"})).json()
        assert found["reason"].endswith("but HAProxy does not answer")
        wrong = await client.get("/v1/explain", params={"url": "nonsense"})
        assert (wrong.status, list(await wrong.json())) == (400, ["error"])


async def test_the_status_says_how_this_replica_is() -> None:
    stage = two()
    stage.proxy.reloads = Counter({Cause.TIDY: 2})
    stage.proxy.unwritten = "the disk is full"
    stage.keyring.refused = {"/certs/a": "it cannot be read"}
    async with stage.client() as client:
        status = await (await client.get("/v1/status")).json()
    assert (status["ready"], status["services"], status["overlaps_total"]) == (True, 2, 1)
    assert (status["reloads"], status["reload_reasons"]) == (2, {str(Cause.TIDY): 2})
    assert status["warnings"][0] == "the disk is full"
    assert status["quarantined_certificates"] == {"/certs/a": "it cannot be read"}
    assert status["haproxy"] == {"version": "2.6.12", "pid": 1, "worker": 2, "uptime": 3}
    assert status["drift"] == {"map": 0, "server": 0, "certificate": 0, "crt-list": 0}
    assert status["replicas"] == {"others": 0, "agree": True, "differing": {}, "last_compared": None}
    assert status["swarm"]["connected"] is False


async def test_without_the_token_the_status_is_short() -> None:
    async with Stage(api_token=TOKEN).client() as client:
        assert (await (await client.get("/v1/status")).json()).keys() == {"version", "ready"}
        shown = {"Authorization": f"Bearer {TOKEN}"}
        assert "services" in await (await client.get("/v1/status", headers=shown)).json()
        assert (await client.get("/v1/services")).status == 401


async def test_a_node_is_ready_when_it_serves_and_until_it_stops() -> None:
    stage = Stage()
    async with stage.client() as client:

        async def ready() -> tuple[int, object]:
            answer = await client.get("/v1/ready")
            return answer.status, await answer.json()

        assert await ready() == (503, {"ready": False})
        stage.add(serviceName="web", servicePath="/", port="80")
        assert await ready() == (200, {"ready": True})
        stage.statistics.status.return_value = None
        assert await ready() == (503, {"ready": False})
        assert (await (await client.get("/v1/status")).json())["haproxy"] is None
        stage.statistics.status.return_value = object()
        stage.registry.stop()
        assert await ready() == (503, {"ready": False})


async def test_reading_works_with_head_too() -> None:
    async with two().client() as client:
        for path in ("/v1/services", "/v1/routes", "/v1/status", "/v1/ready", "/metrics"):
            assert (await client.head(path)).status == 200


async def test_prometheus_is_given_our_figures_and_those_of_haproxy() -> None:
    stage = two()
    stage.proxy.reloads = Counter({Cause.TIDY: 2})
    stage.keyring.refused = {"/certs/a": "it cannot be read"}
    stage.reconciler.outcome = stage.reconciler.outcome._replace(quarantined={"bad": "x" * 1000})
    async with stage.client() as client:
        answer = await client.get("/metrics")
        text = await answer.text()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    for line in (
        f'flowproxy_reloads_total{{reason="{Cause.TIDY}"}} 2.0',
        "flowproxy_routes 2.0",
        "flowproxy_converged 1.0",
        "flowproxy_quarantined_certificates 1.0",
        f'flowproxy_quarantined{{reason="{"x" * 300}",service="bad"}} 1.0',
        'flowproxy_background_failures_total{loop="swarm"} 2.0',
        "flowproxy_swarm_connected 0.0",
        "haproxy_up 1",
    ):
        assert line in text.splitlines()
