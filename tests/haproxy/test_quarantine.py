"""One person's mistake is nobody else's: what is wrong stays out, is reported in its owner's terms, delays nobody."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
from certificates import make_certificate
from controller import Answer, Controller, Origin, Running, Tls, fetch
from support import eventually, rounds

from flowproxy.control.template_files import OURS

Origins = Callable[[str], Origin]
FOLDER = "the folder of certificates"
NOBODY = "no service"


def mistakes(folder: Path, port: int) -> list[tuple[str, dict[str, str]]]:
    """Ways to be wrong that only HAProxy or a template finds, each with the parameter to blame."""
    raising = folder / "raising.tmpl"
    raising.write_text("backend x\n{{ nothing.at.all }}\n")
    broken = folder / "broken.tmpl"
    broken.write_text("backend {{ service.service_name }-be80_0\n")
    return [
        ("backendExtra", {"backendExtra": "no-such-keyword at all"}),
        ("backendExtra", {"backendExtra": "http-request deny if { no-such-fetch }"}),
        ("backendExtra", {"backendExtra": "server web 127.0.0.1:notaport"}),
        ("addReqHeader", {"addReqHeader": 'X-Half "never closed'}),
        ("setReqHeader", {"setReqHeader": "X-Acl yes if no-such-acl"}),
        ("setResHeader", {"setResHeader": "X-Fetch %[no-such-fetch]"}),
        ("addResHeader", {"addResHeader": "X-Lonely"}),
        ("delReqHeader", {"delReqHeader": "a b c d"}),
        ("compressionAlgo", {"compressionAlgo": "no-such-algorithm"}),
        ("servicePath", {"servicePath": "(never closed", "pathType": "path_reg"}),
        ("serviceDomain", {"serviceDomain": "[a-", "serviceDomainAlgo": "hdr_reg(host)"}),
        ("reqPathSearchReplace", {"reqPathSearchReplace": "(never,closed"}),
        ("backendExtra", {"backendExtra": "timeout server never"}),
        ("userAgent", {"userAgent": ",".join(f"agent-{number}" for number in range(201))}),
        ("template", {"templateBePath": str(raising)}),
        ("template", {"templateBePath": str(broken)}),
        ("template", {"templateFePath": str(folder / "missing.tmpl")}),
        ("srcPort", {"reqMode": "tcp", "srcPort": str(port)}),
        (
            "balanceGroup",
            {"reqMode": "tcp", "srcPort": "19998", "serviceGroup": "g", "balanceGroup": "no-such-balance"},
        ),
        ("debugFormat", {"reqMode": "tcp", "srcPort": "19999", "debug": "true", "debugFormat": "%[no-such-fetch]"}),
    ]


@pytest.mark.longer
def test_hundreds_of_services_are_live_although_twenty_are_wrong(
    controller: Controller, origin: Origins, tmp_path: Path
) -> None:
    controller.start()
    port = str(origin("web").port)
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        wrong = mistakes(tmp_path, taken.getsockname()[1])
        good = {f"good{number}": {"servicePath": f"/good{number}/"} for number in range(rounds(200, soak=980))}
        bad = {f"bad{number}": {"servicePath": f"/bad{number}/", **given} for number, (_, given) in enumerate(wrong)}
        calls = [item for pair in itertools.zip_longest(good.items(), bad.items()) for item in pair if item]

        def put(call: tuple[str, dict[str, str]]) -> tuple[str, Answer, float]:
            name, given = call
            begun = time.monotonic()
            answer = _reconfigure(controller, name, port, **given)
            return name, answer, time.monotonic() - begun

        with ThreadPoolExecutor(64) as clients:
            answers = list(clients.map(put, calls))
        slowest = max(taken_seconds for name, _, taken_seconds in answers if name in good)

    statuses = {name: answer.status for name, answer, _ in answers}
    assert {name for name, status in statuses.items() if status == 200} == good.keys()
    told = {name: answer.json["Message"] for name, answer, _ in answers if name in bad}
    silent = [f"{name} {told[name]}" for name, (blame, _) in zip(bad, wrong, strict=True) if blame not in told[name]]
    assert silent == []
    assert all(controller.get(f"{given['servicePath']}x").text.startswith("web ") for given in good.values())
    assert slowest < 10, f"{slowest:.2f} s"


def test_what_was_right_before_keeps_serving_and_is_tried_again_when_it_changes(
    controller: Controller, origin: Origins
) -> None:
    environment = {
        "DFP_SERVICE_SERVICE_NAME": "web",
        "DFP_SERVICE_SERVICE_PATH": "/",
        "DFP_SERVICE_PORT": str(origin("web").port),
        "DFP_SERVICE_OUTBOUND_HOSTNAME": "127.0.0.1",
    }
    controller.start(**environment, DFP_SERVICE_BACKEND_EXTRA="no-such-keyword")

    reason = "backendExtra: service web : unknown keyword 'no-such-keyword' in 'backend' section"
    assert eventually(lambda: controller.status["quarantined"]) == {"web": reason}
    assert controller.api("/v1/services/web").json["error"] == reason
    assert f'flowproxy_quarantined{{reason="{reason}",service="web"}} 1' in controller.api("/metrics").text
    assert "service quarantined" in controller.log.read_text()
    assert controller.get("/").status == 503
    _reconfigure(controller, "other", str(origin("other").port), servicePath="/other")
    assert controller.get("/other").text.startswith("other ")
    controller.signal(15)
    controller.start(**environment)
    assert controller.get("/").text.startswith("web ")
    assert controller.status["quarantined"] == {}


@pytest.mark.parametrize(
    "extra",
    [
        "backend other-be80_0",
        "defaults\n  timeout server 1",
        "global",
        "listen x\n  bind :1",
        ".if 0",
        ".notice x",
        '"defaults"',
        r"\x64efaults",
    ],
)
def test_no_line_of_a_backend_begins_another_section(running: Running[Controller], origin: Origins, extra: str) -> None:
    controller = running()
    answer = _reconfigure(controller, "web", str(origin("web").port), backendExtra=f"http-request deny\n{extra}")

    assert answer.status == 400
    assert answer.json["Message"].startswith("service web: backendExtra: ")


def test_of_two_new_services_in_conflict_the_older_stays(running: Running[Controller], origin: Origins) -> None:
    """Each is right alone; HAProxy names the one that stands lower in the file."""
    controller = running()
    port = str(origin("web").port)
    fronts = {
        "z": "acl mine path /z\nuse_backend z-be{port}_0 if mine",
        "a": "acl mine path /a\nuse_backend a-be{port}_0 if mine",
    }
    for name, lines in fronts.items():
        template = controller.folder / f"../{name}.tmpl"
        template.write_text(lines.format(port=port))
        answer = _reconfigure(controller, name, port, servicePath=f"/{name}", templateFePath=str(template.resolve()))
        assert (name, answer.status) == (name, 200 if name == "z" else 500), answer.text

    assert controller.get("/z").status == 200
    assert "service z's already" in answer.text


def test_nobody_shows_a_certificate_for_names_of_others(tls: Tls) -> None:
    """The certificate of the folder wins, then that of the service with the route of `/`; the other gets a conflict."""
    mine, serial = make_certificate("a.org")
    (tls.certs / "z.pem").write_text(make_certificate("*.folder.org")[0])
    tls.begin()
    attempts = [
        ("first", "a.org", "/", mine, None),
        ("second", "a.org", "/second", make_certificate("a.org")[0], ("a.org", "first")),
        ("third", "0.org", "/", make_certificate("0.org", "a.org")[0], ("a.org", "first")),
        ("fourth", "1.org", "/", make_certificate("1.org", "login.folder.org")[0], ("login.folder.org", FOLDER)),
        ("fifth", "www.folder.org", "/", make_certificate("www.folder.org")[0], ("www.folder.org", FOLDER)),
        ("sixth", "2.org", "/sixth", make_certificate("2.org")[0], ("2.org", NOBODY)),
        ("same", "a.org", "/same", mine, None),
    ]
    expected = []
    for name, domain, path, pem, clash in attempts:
        given = {"servicePath": path, "serviceDomain": domain, "serviceCert": pem.replace("\n", "\\n")}
        assert _reconfigure(tls, name, "80", **given).status == 200
        if clash:
            expected.append({"route": f"the certificate for {clash[0]}", "winner": clash[1], "loser": name})

    assert sorted(tls.status["conflicts"], key=lambda c: str(c["loser"])) == sorted(expected, key=lambda c: c["loser"])
    assert tls.serial("a.org") == serial
    assert tls.api("/v1/services/second").json["conflicts"]
    tls.api("/v1/remove", serviceName="first")
    assert tls.serial("a.org") != serial


def _reconfigure(controller: Controller, name: str, port: str, **parameters: str) -> Answer:
    given = {"serviceName": name, "port": port, "outboundHostname": "127.0.0.1", **parameters}
    return fetch(controller.port, f"/v1/reconfigure?{urlencode(given)}")


def test_a_template_of_the_operators_that_fails_for_one_service(
    controller: Controller, origin: Origins, tmp_path: Path
) -> None:
    ours = (OURS / "backend.cfg.j2").read_text()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "backend.cfg.j2").write_text(
        "{% set trouble = 1 // 0 if backend.service.service_name == 'boom' else 0 %}" + ours
    )
    controller.start(FLOWPROXY_TEMPLATES=str(tmp_path / "templates"))
    port = str(origin("web").port)

    answer = _reconfigure(controller, "boom", port, servicePath="/boom")
    assert answer.status == 500
    assert "it cannot be rendered: ZeroDivisionError" in answer.json["Message"]
    assert _reconfigure(controller, "web", port, servicePath="/web").status == 200
    assert controller.get("/web").status == 200
    assert controller.status["failure"] is None
