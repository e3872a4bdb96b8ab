"""Templates of services and of the operator, through a real HAProxy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from controller import Answer, Controller, Origin, Running

Origins = Callable[[str], Origin]

FRONTEND = """
acl {{ service.service_name }}-path path_beg /custom
use_backend {{ service.service_name }}-custom if {{ service.service_name }}-path
"""
BACKEND = """
backend {{ service.service_name }}-custom
    http-response set-header X-Said {{ destinations[0].user_def | word }}
    server one 127.0.0.1:{{ parameters.port }}
"""


class Templated:
    """Registers services with templates of their own, which lie in a folder of the test's."""

    def __init__(self, controller: Controller, folder: Path) -> None:
        self.controller = controller
        self.folder = folder

    def put(self, name: str, frontend: str | None = None, backend: str | None = None, **parameters: str) -> Answer:
        given = {"outboundHostname": "127.0.0.1", **parameters}
        for parameter, text in (("templateFePath", frontend), ("templateBePath", backend)):
            if text is not None:
                path = self.folder / f"{name}-{parameter}"
                path.write_text(text)
                given[parameter] = str(path)
        return self.controller.reconfigure(name, **given)


@pytest.fixture
def templated(running: Running[Controller], tmp_path: Path) -> Templated:
    return Templated(running(), tmp_path)


def test_a_service_brings_its_own_routes_and_backends(templated: Templated, origin: Origins) -> None:
    answer = templated.put("web", FRONTEND, BACKEND, port=str(origin("web").port), userDef="hello there")

    assert answer.status == 200, answer.text
    seen = templated.controller.get("/custom/x")
    assert (seen.text.split()[0], seen.headers["x-said"]) == ("web", "hello there")

    assert templated.controller.api("/v1/remove", serviceName="web").status == 200
    assert templated.controller.get("/custom/x").status == 503


def test_routes_of_other_services_go_before_those_of_a_template(templated: Templated, origin: Origins) -> None:
    templated.put("web", FRONTEND, BACKEND, port=str(origin("web").port), userDef="x")
    templated.put("other", servicePath="/custom/other", port=str(origin("other").port))
    templated.put("rest", servicePath="/rest", isDefaultBackend="true", port=str(origin("rest").port))

    asked = ["/custom/other", "/custom", "/elsewhere"]
    assert [templated.controller.get(path).text.split()[0] for path in asked] == ["other", "web", "rest"]


def test_a_template_for_the_backend_alone_takes_the_place_of_ours(templated: Templated, origin: Origins) -> None:
    text = """
{% for backend in backends %}
backend {{ backend.name }}
    http-response set-header X-Own yes
{% for server in backend.servers %}
    server {{ server.name }} {{ server.socket_address }}
{% endfor %}
{% endfor %}
"""
    assert templated.put("web", None, text, servicePath="/web", port=str(origin("web").port)).status == 200

    assert templated.controller.get("/web").headers["x-own"] == "yes"


@pytest.mark.parametrize(
    ("frontend", "backend", "reason"),
    [
        ("acl x path_beg /x {{", BACKEND, "templateFePath: line 1: unexpected"),
        (FRONTEND, "backend x\n    server {{ nothing.here }}", "templateBePath: 'nothing' is undefined"),
        (FRONTEND, "backend x\n    server {{ 1 / 0 }}", "templateBePath: division by zero"),
        (FRONTEND, "backend x\n    nonsense", "unknown keyword 'nonsense'"),
        ("backend mine\nserver x 127.0.0.1:1", BACKEND, "'backend mine' begins a section"),
        (FRONTEND, "defaults\n    timeout server 1s", "'defaults' would change settings outside the service"),
        (FRONTEND, "    server x 127.0.0.1:1", "must begin with a section"),
        ("{{ service.__class__.__mro__ }}", BACKEND, "unsafe"),
        ("acl route-found always_true", BACKEND, "the acl route-found is Flowproxy's already"),
        ("acl other-path path_beg /x", BACKEND, "the acl other-path is service other's already"),
        (None, "backend mine\n    server x 127.0.0.1:1", "the backend web-be80_0, which it does not define"),
    ],
)
def test_a_broken_template_is_its_services_error_alone(
    templated: Templated, origin: Origins, frontend: str | None, backend: str, reason: str
) -> None:
    port = str(origin("other").port)
    templated.put("other", FRONTEND.replace("/custom", "/other"), BACKEND, port=port, userDef="x")
    templated.put("third", servicePath="/third", port=port)

    answer = templated.put("web", frontend, backend, servicePath="/web", port="80", userDef="x")

    assert answer.status == 500
    assert reason in answer.json["Message"]
    assert [templated.controller.get(path).status for path in ("/other", "/third", "/web")] == [200, 200, 503]
    assert templated.put("fourth", servicePath="/fourth", port=port).status == 200


@pytest.mark.parametrize("path", ["/nowhere/template", "{state}/haproxy.cfg", "{test}/pipe", "/", "relative"])
def test_a_template_must_be_a_file_that_is_meant_for_it(
    running: Running[Controller], tmp_path: Path, path: str
) -> None:
    controller = running()
    os.mkfifo(tmp_path / "pipe")
    given = path.format(state=controller.folder, test=tmp_path)
    answer = controller.reconfigure(
        "web", servicePath="/", port="80", outboundHostname="127.0.0.1", templateFePath=given
    )

    assert answer.status in (400, 500)
    assert "templateFePath: " in answer.json["Message"]


def test_the_operators_template_is_the_base_of_the_configuration(controller: Controller, origin: Origins) -> None:
    base = controller.folder.parent / "base.cfg"
    base.write_text(
        '{% include "global.cfg.j2" %}\n{% include "defaults.cfg.j2" %}\n'
        '{% include "frontend.cfg.j2" %}\n    http-response set-header X-Base ours\n'
    )
    controller.start(CFG_TEMPLATE_PATH=str(base))
    controller.reconfigure("web", servicePath="/web", port=str(origin("web").port), outboundHostname="127.0.0.1")

    assert controller.get("/web").status == 200


def test_a_broken_template_of_the_operators_stops_the_start(controller: Controller) -> None:
    base = controller.folder.parent / "base.cfg"
    base.write_text("global\n{{ .ExtraGlobal }}")
    controller.launch(CFG_TEMPLATE_PATH=str(base))
    assert controller.process

    assert controller.process.wait(20) == 1
    assert f"flowproxy: template {base}: line 2: " in controller.log.read_text()


@pytest.mark.parametrize(
    "section",
    [
        "backend web-be80_0\n    server x 127.0.0.1:1",
        "userlist web-be80_0-users\n    user evil insecure-password evil",
        "backend tcp:web:80_0\n    mode tcp",
        "backend no-route",
        'backend "web-be80_0"',
        "backend evil-own",
    ],
)
def test_a_template_defines_no_section_that_may_be_anothers(
    templated: Templated, origin: Origins, section: str
) -> None:
    templated.put("older", FRONTEND, "backend evil-own\nbackend older-custom", port=str(origin("older").port))
    answer = templated.put("evil", FRONTEND, f"backend evil-custom\n{section}", port=str(origin("evil").port))
    web = templated.put("web", None, None, servicePath="/web", users="a:b", port="80")

    assert answer.status == 500
    assert "templateBePath: " in answer.json["Message"]
    assert web.status == 200, web.text
    assert templated.controller.get("/web").status == 401
