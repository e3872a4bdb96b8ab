"""Which status an error has, and that every answer that refuses a call is JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from api_client import Stage
from structlog.testing import capture_logs

from flowproxy import errors
from flowproxy.api.server import answer_errors

PROBLEM = (errors.Problem("port", "x", "must be a whole number"),)


async def call_of(error: Exception, path: str = "/?serviceName=web") -> tuple[int, dict[str, Any], str]:
    """What a call is answered whose handler raises this error."""

    async def fail(_: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[answer_errors])
    app.router.add_get("/", fail)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(path, allow_redirects=False)
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else {}, text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Unauthorized("a"), 401),
        (errors.ForeignPage("a"), 403),
        (errors.NotReplica("a"), 403),
        (errors.NotSigned("a"), 403),
        (errors.Untrusted("web", PROBLEM), 403),
        (errors.InvalidService("web", PROBLEM), 400),
        (errors.InvalidCertificate("a"), 400),
        (errors.ParameterRejected("a"), 400),
        (errors.UnroutedService("web", PROBLEM), 409),
        (errors.OwnedElsewhere("a"), 409),
        (errors.ForeignHost("a"), 409),
        (errors.UnreadableBody("a"), 415),
        (errors.Rejected("a"), 500),
        (errors.InvalidTemplate("a"), 500),
        (errors.ReplicaFailed("a"), 500),
        (errors.ListenerFailed("a"), 500),
        (errors.UnknownAddress("a"), 500),
        (errors.ProxyUnavailable("a"), 503),
        (errors.NotStored("a"), 507),
    ],
)
async def test_an_error_of_ours_has_its_status_and_says_why(error: Exception, status: int) -> None:
    answered, said, _ = await call_of(error)

    assert answered == status
    assert said["Status"] == "NOK"
    assert said["Message"] == str(error)
    assert said["ServiceName"] == ("" if status == 401 or isinstance(error, errors.ForeignPage) else "web")


async def test_a_mistake_of_ours_is_answered_with_an_id_that_the_log_has_too() -> None:
    with capture_logs() as logs:
        status, said, text = await call_of(RuntimeError("swordfish"))

    assert status == 500
    assert said["Message"].startswith("internal error; the log has the details under id ")
    assert "swordfish" not in text
    (line,) = [line for line in logs if line["event"] == "call failed"]
    assert said["Message"].endswith(line["id"])


async def test_a_redirect_stays_one() -> None:
    status, said, _ = await call_of(web.HTTPMovedPermanently("/other"))

    assert (status, said) == (301, {})


@pytest.mark.parametrize("error", [web.HTTPRequestTimeout(text="too slow"), web.HTTPBadRequest(text="too slow")])
async def test_what_aiohttp_refuses_is_json_too(error: web.HTTPException) -> None:
    status, said, _ = await call_of(error)

    assert (status, said["Message"]) == (error.status, "too slow")


async def test_the_router_says_what_it_does_not_have() -> None:
    async with Stage().client() as client:
        unknown = await client.get("/v1/nonsense")
        wrong = await client.get("/v1/cert")

        assert (unknown.status, (await unknown.json())["Message"]) == (404, "the API has no path '/v1/nonsense'")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "PUT")
        assert (await wrong.json())["Message"] == "'/v1/cert' does not take GET; use PUT"


async def test_with_a_token_a_stranger_does_not_learn_which_paths_there_are() -> None:
    async with Stage(api_token="correct horse battery staple").client() as client:
        for path in ("/v1/nonsense", "/v1/cert", "/v1/services"):
            answer = await client.get(path)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
