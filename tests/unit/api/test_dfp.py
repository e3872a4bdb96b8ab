"""Docker Flow Proxy's paths: what each one asks for, and what it answers."""

from __future__ import annotations

import math
from unittest.mock import ANY, AsyncMock, Mock

import pytest
from api_client import Stage
from certificates import make_certificate

from flowproxy.cluster.replicas import Reply
from flowproxy.control.exchange import State
from flowproxy.errors import NotReplica, NotStored, ProxyUnavailable, Rejected
from flowproxy.services.certificate import read_certificate

PEM, _ = make_certificate("a.org")
WEB = "serviceName=web&servicePath=/&port=80"
PREFIXES = ("/v1/docker-flow-proxy", "/v1")


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_service_comes_and_goes(prefix: str) -> None:
    stage = Stage()
    async with stage.client() as client:
        answer = await client.get(f"{prefix}/reconfigure?{WEB}")
        assert (answer.status, (await answer.json())["ServiceName"]) == (200, "web")
        assert stage.registry.get("web")
        stage.names.require.assert_awaited_once_with("web", within=ANY)
        answer = await client.get(f"{prefix}/remove?serviceName=web")
        assert (answer.status, (await answer.json())["ServiceName"]) == (200, "web")
        assert stage.registry.get("web") is None
    assert stage.exchange.wake.call_count == 2


@pytest.mark.parametrize("error", [Rejected("unknown keyword"), ProxyUnavailable("no answer")])
async def test_what_does_not_become_live_is_undone(error: Exception) -> None:
    stage = Stage()
    stage.reconciler.live = AsyncMock(side_effect=error)
    async with stage.client() as client:
        answer = await client.get(f"/v1/reconfigure?{WEB}")
        assert (await answer.json())["Message"] == str(error)
    assert stage.registry.get("web") is None


async def test_a_call_for_all_replicas_is_passed_on() -> None:
    stage = Stage()
    stage.replicas.pass_on.return_value = [Reply("10.0.0.1", 200, "one\n"), Reply("10.0.0.2", 200, "two")]
    async with stage.client() as client:
        for path in (f"reconfigure?{WEB}&", "remove?serviceName=web&"):
            said = await (await client.get(f"/v1/{path}distribute=true")).json()
            assert (said["Message"], said["Distribute"]) == ("Distributed to all instances", True)
        said = await (await client.put("/v1/cert?certName=a&distribute=true", data=PEM)).json()
        assert said == {"Status": "OK", "Message": "Distributed to all instances", "Certs": None}
        assert await (await client.get("/v1/metrics?distribute=true")).text() == "one\ntwo\n"
    assert stage.replicas.pass_on.await_count == 4
    stage.keyring.put.assert_not_called()


async def test_a_certificate_is_kept_and_shown_before_the_answer() -> None:
    stage = Stage()
    stage.keyring.changed_at.return_value = 9e9
    async with stage.client() as client:
        answer = await client.put("/v1/cert?certName=a.pem", data=PEM)
        assert (answer.status, await answer.json()) == (200, {"Status": "OK", "Message": "", "Certs": None})
    stage.keyring.put.assert_awaited_once_with("a.pem", PEM, math.nextafter(9e9, math.inf))
    stage.reconciler.live.assert_awaited_once_with(1, "")
    stage.exchange.wake.assert_called_once()


async def test_a_replica_sends_one_without_sharing_it_further_or_waiting() -> None:
    stage = Stage()
    async with stage.client() as client:
        await client.put("/v1/cert?certName=a.pem&shared=false&wait=false", data=PEM)
    stage.keyring.put.assert_awaited_once_with("a.pem", PEM, None)
    stage.reconciler.live.assert_not_called()


@pytest.mark.parametrize(
    ("query", "body", "said"),
    [("", PEM, "the query certName is missing"), ("certName=a", "", "the body, a PEM file, is missing")],
)
async def test_a_certificate_has_a_name_and_a_body(query: str, body: str, said: str) -> None:
    async with Stage().client() as client:
        answer = await client.put(f"/v1/cert?{query}", data=body)
        assert (answer.status, (await answer.json())["Message"]) == (400, said)


async def test_a_full_disk_is_ours() -> None:
    stage = Stage()
    stage.keyring.put.side_effect = NotStored("a.pem cannot be written: No space left on device")
    async with stage.client() as client:
        assert (await client.put("/v1/cert?certName=a.pem", data=PEM)).status == 507


async def test_certificates_are_listed_without_their_keys() -> None:
    stage = Stage()
    stage.keyring.kept.return_value = [read_certificate("a.pem", PEM)]
    async with stage.client() as client:
        answer = await (await client.get("/v1/certs")).json()
    (listed,) = answer["Certs"]
    assert (listed["ProxyServiceName"], listed["CertsDir"], listed["ServicePort"]) == ("a.pem", "/certs", "")
    assert listed["CertContent"].startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in str(answer)


async def test_only_replicas_are_sent_certificates_and_records() -> None:
    stage = Stage()
    stage.keyring.kept.return_value = [read_certificate("a.pem", PEM), read_certificate("b.pem", PEM)]
    stage.exchange.compare_with.return_value = State("abc", {"web": "port: is missing"})
    calls = ("certs/send?without=a.pem", "replica/state", "replica/records")
    async with stage.client() as client:
        sent, state, taken = [await (await client.post(f"/v1/{path}", data="{}")).json() for path in calls]
        assert sent == {"Status": "OK", "Message": "1 certificates sent"}
        assert state == {"digest": "abc", "refused": {"web": "port: is missing"}}
        assert taken == {}
        (caller, certificates), _ = stage.replicas.send_certificates.await_args
        assert (caller, [one.name for one in certificates]) == ("10.0.0.2", ["b.pem"])

        stage.replicas.require.side_effect = NotReplica("only replicas may make this call")
        assert [(await client.post(f"/v1/{path}", data="{}")).status for path in calls] == [403] * 3
    assert stage.replicas.send_certificates.await_count == stage.exchange.compare_with.await_count == 1


async def test_the_configuration_is_text_or_json_without_secrets() -> None:
    stage = Stage()
    async with stage.client() as client:
        assert (await client.get("/v1/config")).status == 503
        stage.add(serviceName="web", servicePath="/", port="80", users="me:swordfish")
        stage.reconciler.outcome = stage.reconciler.outcome._replace(
            configuration=Mock(text=lambda: "userlist u\n    user me password swordfish\n")
        )
        text = await (await client.get("/v1/config")).text()
        services = await (await client.get("/v1/config?type=JSON")).json()
    assert "user me password (hidden)" in text
    assert list(services) == ["web"]
    assert services["web"]["ServiceDest"][0]["Port"] == "80"


async def test_reload_renders_anew_or_asks_the_listeners() -> None:
    stage = Stage()
    async with stage.client() as client:
        assert (await (await client.get("/v1/reload?fromListener=true")).json())["Status"] == "OK"
        stage.listeners.notify.assert_awaited_once()
        stage.reconciler.forget_running.assert_not_called()
        assert (await (await client.get("/v1/reload")).json())["Status"] == "OK"
        stage.reconciler.forget_running.assert_called_once()


async def test_what_there_was_at_the_start_is_applied_or_not() -> None:
    stage = Stage()
    async with stage.client() as client:
        assert (await client.get("/v1/successfulinitreload")).status == 500
        stage.add(serviceName="web", servicePath="/", port="80")
        assert (await client.get("/v1/successfulinitreload")).status == 200
        stage.listeners.heard = False
        assert (await client.get("/v1/successfulinitreload")).status == 500
        stage.swarm = stage.swarm._replace(last_listing=1.0)
        assert (await client.get("/v1/successfulinitreload")).status == 200


async def test_the_paths_of_the_listener_answer() -> None:
    stage = Stage()
    stage.add(serviceName="web", servicePath="/", port="80")
    async with stage.client() as client:
        for path in ("notify-services", "ping"):
            assert await (await client.get(f"/v1/docker-flow-swarm-listener/{path}")).json() == {"Status": "OK"}
        assert await (await client.get("/v1/docker-flow-swarm-listener/get-services")).json() == []


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_slash_too_many_redirects_with_the_query(prefix: str) -> None:
    async with Stage().client() as client:
        answer = await client.get(f"{prefix}/remove/?serviceName=web", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (301, f"{prefix}/remove?serviceName=web")
