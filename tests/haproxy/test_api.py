"""The API's answers: statuses, fields, and that a refused call changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from controller import Controller, Origin, Running, fetch
from support import eventually, free_port

from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.text.secrets import is_secret

GOOD = {"servicePath": "/", "port": "80", "outboundHostname": "127.0.0.1"}


FIELDS = """
    Status Message ServiceName AclName AddReqHeader AddResHeader BackendExtra CheckResolvers CompressionAlgo
    CompressionType ConnectionMode Debug DebugFormat DelReqHeader DelResHeader DiscoveryType Distribute IsDefaultBackend
    ProxyInstanceName RedirectWhenHttpProto RedirectUnlessHttpsProto Replicas ReqPathReplace ReqPathSearch ServiceCert
    ServiceDomainAlgo SessionType SetReqHeader SetResHeader TemplateBePath TemplateFePath UseGlobalUsers Users
    ServicePort AclCondition IsGlobal LookupRetry LookupRetryInterval ServiceDest Tasks
"""
DESTINATION_FIELDS = """
    AllowedMethods BalanceGroup CheckTCP Clitcpka DeniedMethods DenyHttp HttpsOnly HttpsPort HttpsRedirectCode
    IgnoreAuthorization OutboundHostname PathType Port RedirectFromDomain ReqMode ReqModeFormatted ReqPathSearchReplace
    ServiceDomain ServiceGroup ServiceHeader ServicePath ServicePathExclude SrcPort SrcHttpsPort SrcPortAcl
    SrcPortAclName SrcHttpsPortAcl SrcHttpsPortAclName SslVerifyNone TimeoutServer TimeoutClient TimeoutTunnel
    VerifyClientSsl UserAgent UserDef Index ReqPathSearchReplaceFormatted IncludeSrcPortACL IncludeSrcHttpsPortACL
"""


def shown(parameters: Iterable[str]) -> set[str]:
    """The fields of all parameters that are no secret."""
    fields = {name[0].upper() + name[1:] for name in parameters if not is_secret(name)}
    return {"CheckTCP" if field == "CheckTcp" else field for field in fields}


@pytest.fixture
def api(running: Running[Controller]) -> Controller:
    return running(RECONFIGURE_ATTEMPTS="1")


@pytest.mark.parametrize("prefix", ["/v1/docker-flow-proxy", "/v1"])
def test_ping_answers(api: Controller, prefix: str) -> None:
    answer = api.api(f"{prefix}/ping")

    assert (answer.status, answer.json["Status"]) == (200, "OK")


def test_an_answer_has_every_field_of_the_system_we_replace(api: Controller) -> None:
    answer = api.reconfigure("web", serviceDomain="acme.com", **GOOD).json

    assert {"Status": "OK", "Message": "", "ServiceName": "web", "AclName": "", "Users": []}.items() <= answer.items()
    (destination,) = answer["ServiceDest"]
    assert destination["Port"] == "80"
    assert destination["ReqMode"] == "http"
    assert destination["ServiceDomain"] == ["acme.com"]
    assert answer.keys() == {*FIELDS.split(), *shown(SERVICE_PARAMETERS), "Conflicts", "Overlaps"}
    assert destination.keys() == {*DESTINATION_FIELDS.split(), *shown(DESTINATION_PARAMETERS)}


def test_an_answer_tells_what_was_asked_for_but_no_secret(api: Controller) -> None:
    asked = {"addReqHeader": "X-A one", "users": "me:hidden", "allowedMethods": "GET", "httpsRedirectCode": "301"}
    answer = api.reconfigure("web", **GOOD, **asked, reqPathSearchReplace="/a,/b", checkTcp="true")

    assert answer.json["AddReqHeader"] == ["X-A one"]
    (destination,) = answer.json["ServiceDest"]
    assert destination["AllowedMethods"] == ["GET"]
    assert destination["HttpsRedirectCode"] == "301"
    assert destination["ReqPathSearchReplaceFormatted"] == ["/a,/b"]
    assert destination["CheckTCP"] is True
    assert "hidden" not in answer.text + api.api("/v1/config", type="json").text + api.log.read_text()


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({}, 400, "serviceName: is missing"),
        ({"serviceName": "web"}, 409, "servicePath: is missing"),
        ({"serviceName": "web", "servicePath": "/"}, 400, "port: is missing"),
        ({"serviceName": "web", "servicePath": "api", "port": "80"}, 400, "servicePath: 'api'"),
        ({"serviceName": "web", "servicePath": "/", "port": "x"}, 400, "port: 'x'"),
        ({"serviceName": "no.such.name.invalid", "servicePath": "/", "port": "80"}, 500, "does not resolve"),
    ],
)
def test_a_wrong_call_gets_the_reason_and_changes_nothing(
    api: Controller, parameters: dict[str, str], status: int, said: str
) -> None:
    before = api.api("/v1/config").text
    answer = api.api("/v1/docker-flow-proxy/reconfigure", **parameters)

    assert answer.status == status
    assert answer.json["Status"] == "NOK"
    assert said in answer.json["Message"]
    assert api.api("/v1/config").text == before
    assert api.status["services"] == 0


def test_a_wrong_update_leaves_the_good_version(api: Controller) -> None:
    api.reconfigure("web", **GOOD)
    api.reconfigure("web", **GOOD | {"port": "99999"})

    assert api.api("/v1/config", type="json").json["web"]["ServiceDest"][0]["Port"] == "80"


def test_any_method_and_a_form_are_taken(api: Controller) -> None:
    assert api.api("/v1/docker-flow-proxy/reconfigure", method="POST", serviceName="web", **GOOD).status == 200


def test_a_slash_too_many_redirects(api: Controller) -> None:
    answer = api.api("/v1/docker-flow-proxy/ping/")

    assert answer.status == 301
    assert answer.headers["Location"] == "/v1/docker-flow-proxy/ping"


def test_what_is_not_there_is_removed_without_a_word(api: Controller) -> None:
    before = api.status

    assert api.api("/v1/docker-flow-proxy/remove", serviceName="unknown").status == 200
    after = api.status
    assert (after["generation"], after["reloads"]) == (before["generation"], before["reloads"])


def test_a_certificate_is_put_and_not_got(api: Controller) -> None:
    assert api.api("/v1/docker-flow-proxy/cert").status == 405


def test_an_unknown_path_is_404(api: Controller) -> None:
    assert api.api("/v1/nonsense").status == 404


def test_the_configuration_is_shown_as_text_and_as_json(api: Controller) -> None:
    api.reconfigure("web", **GOOD)

    text = api.api("/v1/docker-flow-proxy/config").text
    assert f"pidfile {api.folder}/haproxy.pid" in text
    assert "backend web-be80_0" in text
    assert list(api.api("/v1/docker-flow-proxy/config", type="JSON").json) == ["web"]
    assert (api.folder / "haproxy.cfg").read_text() == api.api("/v1/config").text


def test_services_and_routes_say_what_became_of_them(api: Controller) -> None:
    api.reconfigure("web", **GOOD)
    api.reconfigure("twin", **GOOD)

    twin = api.api("/v1/services/twin").json
    assert twin["origin"] == "api"
    assert twin["conflicts"] == [{"route": "*/", "winner": "web", "loser": "twin"}]
    assert api.api("/v1/services/unknown").status == 404
    assert [route["service"] for route in api.api("/v1/routes").json] == ["web", "twin"]
    assert len(api.api("/v1/services").json) == 2


def test_explain_names_the_route_and_its_servers(api: Controller, origin: Callable[[str], Origin]) -> None:
    port = origin("web").port
    api.reconfigure("web", **GOOD | {"port": str(port)})

    found = api.api("/v1/explain", url="http://acme.com/x").json
    assert found["route"]["service"] == "web"
    assert found["reason"] == "the most specific route that matches is */"
    assert [server["address"] for server in found["servers"]] == [f"127.0.0.1:{port}"]
    assert found["servers"][0]["state"].startswith("UP")
    for wrong in ("", "nonsense", "http://acme.com:99999/", "http://[1/"):
        answer = api.api("/v1/explain", url=wrong)
        assert answer.status == 400
        assert answer.json["error"].endswith("give a whole one, such as ?url=http://example.org/api")
    api.api("/v1/remove", serviceName="web")
    assert api.api("/v1/explain", url="http://acme.com/x").json["reason"] == "no route matches; the answer is 503"


def test_explain_says_that_nobody_answers(api: Controller) -> None:
    api.reconfigure("web", **GOOD | {"port": str(free_port())})

    def dead() -> bool:
        found = api.api("/v1/explain", url="http://acme.com/x").json
        return found["reason"].endswith("but none of its servers is up") and "refused" in found["servers"][0]["check"]

    eventually(dead)


def test_explain_names_the_route_though_haproxy_does_not_answer(api: Controller) -> None:
    api.reconfigure("web", **GOOD)
    worker = api.status["haproxy"]["worker"]

    os.kill(worker, signal.SIGSTOP)
    try:
        found = api.api("/v1/explain", url="http://acme.com/x").json
    finally:
        os.kill(worker, signal.SIGCONT)

    assert found["route"]["service"] == "web"
    assert found["reason"].endswith("but HAProxy does not answer")


def test_explain_shows_what_else_the_host_has_and_who_is_refused(controller: Controller) -> None:
    wrong = {"NAME": "wrong", "PATH": "/wbe", "DOMAIN": "acme.com"}
    environment = {f"DFP_SERVICE_SERVICE_{key}": value for key, value in wrong.items()}
    controller.start(**environment, DFP_SERVICE_PORT="80", DFP_SERVICE_BACKEND_EXTRA="no-such-keyword")
    controller.reconfigure("web", **GOOD | {"serviceDomain": "acme.com", "servicePath": "/web"})

    found = controller.api("/v1/explain", url="http://acme.com/wbe").json
    assert found["reason"] == "no route matches; the answer is 503"
    assert [(route["host"], route["path"]) for route in found["others"]] == [("acme.com", "/web")]
    assert "no-such-keyword" in found["refused"]["wrong"]


def test_the_status_reports_what_runs(api: Controller) -> None:
    status = api.status

    assert status["ready"] is True
    assert status["quarantined"] == {}
    assert status["haproxy"].keys() == {"version", "pid", "worker", "uptime"}
    assert status["swarm"]["connected"] is False
    assert (api.folder / "haproxy.pid").read_text().split()[0] == str(status["haproxy"]["pid"])


def test_reload_reloads(api: Controller) -> None:
    before = api.status["reloads"]

    assert api.api("/v1/docker-flow-proxy/reload").json["Status"] == "OK"
    assert api.status["reloads"] == before + 1


def test_many_calls_at_once_are_all_answered_truly_with_few_reloads(api: Controller) -> None:
    with ThreadPoolExecutor(20) as clients:
        names = [f"s{number}" for number in range(60)]
        answers = list(clients.map(lambda n: api.reconfigure(n, **GOOD | {"servicePath": f"/{n}"}), names))

    assert {answer.status for answer in answers} == {200}
    status = api.status
    assert status["services"] == 60
    assert status["reloads"] < 20


def test_nobody_but_a_replica_says_how_old_a_service_is(api: Controller) -> None:
    query = "serviceName=web&servicePath=/&port=80&outboundHostname=127.0.0.1"
    assert fetch(api.port, f"/v1/reconfigure?{query}", headers={"Flowproxy-Created": "1"}).status == 200

    assert api.api("/v1/services/web").json["created"] > 1e9
