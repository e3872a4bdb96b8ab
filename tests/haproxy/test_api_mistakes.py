"""A mistake of the caller is answered with 4xx and says what would be right; 5xx is for what is ours."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from certificates import make_certificate
from controller import Answer, Controller, Origin, Tls, fetch
from support import eventually, free_port

Origins = Callable[[str], Origin]

WEB = {"servicePath": "/", "port": "80", "outboundHostname": "127.0.0.1"}
CERT = "/v1/docker-flow-proxy/cert"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")


def send(controller: Controller, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=20)
    connection.request(method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))


def test_what_is_no_call_of_ours_is_answered_in_json(controller: Controller) -> None:
    """An unknown path, a wrong method, a long path, a long body."""
    controller.start()

    unknown = controller.api("/v1/nonsense")
    wrong = controller.api(CERT)
    long_path = controller.api("/v1/" + "x" * 3000)
    long_body = send(controller, "POST", "/v1/ping", b"x" * 1_100_000)

    assert (unknown.status, unknown.json["Message"]) == (404, "the API has no path '/v1/nonsense'")
    assert (wrong.status, wrong.json["Message"]) == (405, f"'{CERT}' does not take GET; use PUT")
    assert wrong.headers["Allow"] == "PUT"
    assert controller.api("/v1/services", method="DELETE").headers["Allow"] == "GET, HEAD"
    assert (long_path.status, "at most 2048" in long_path.json["Message"]) == (414, True)
    assert (long_body.status, "at most 1048576 bytes" in long_body.json["Message"]) == (413, True)
    for answer in (unknown, wrong, long_path, long_body):
        assert answer.json["Status"] == "NOK"
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Traceback" not in controller.log.read_text()


def test_a_body_that_cannot_be_read_is_refused_with_what_is_wanted(tls: Tls, tmp_path: Path) -> None:
    """A certificate as DER or PKCS#12, a charset that nobody knows, a body that is not compressed as it says."""
    tls.begin()
    pem, _ = make_certificate("a.org")
    (tmp_path / "a.pem").write_text(pem)
    der = subprocess.run(["openssl", "x509", "-in", "a.pem", "-outform", "DER"], cwd=tmp_path, stdout=-1, check=True)
    export = "openssl pkcs12 -export -in a.pem -inkey a.pem -passout pass:x".split()
    pkcs12 = subprocess.run(export, cwd=tmp_path, stdout=-1, check=True)

    for binary in (der.stdout, pkcs12.stdout):
        answer = send(tls, "PUT", f"{CERT}?certName=a.pem", binary)
        assert (answer.status, "give PEM" in answer.json["Message"]) == (400, True)
    for headers, said in (
        ({"Content_Type": "text/plain; charset=klingon"}, "charset='klingon': must be utf-8"),
        ({"Content_Encoding": "gzip"}, "Content-Encoding: 'gzip': send the body as it is"),
    ):
        answer = send(tls, "PUT", f"{CERT}?certName=a.pem", pem.encode(), **headers)
        assert (answer.status, said in answer.json["Message"]) == (415, True)
    assert tls.api("/v1/certs").json["Certs"] == []
    assert "Traceback" not in tls.log.read_text()


def test_a_certificate_has_a_name_that_is_read_again(tls: Tls) -> None:
    tls.begin()
    pem, _ = make_certificate("a.org")
    (tls.certs / "folder").mkdir(parents=True)

    unread = tls.put_certificate("y.new", pem)
    folder = tls.put_certificate("folder", pem)

    assert unread.status == 400
    assert "names end with .new are not read" in unread.json["Message"]
    assert "call it y.new.pem" in unread.json["Message"]
    assert tls.put_certificate("y.new.pem", pem).status == 200
    assert folder.status == 400
    assert "is a folder; give another name" in folder.json["Message"]


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", folder], check=True)
    try:
        filling = os.open(folder / "filling.new", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while os.write(filling, b"x" * 512):
                pass
        os.close(filling)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@needs_root
def test_a_certificate_that_finds_no_room_is_not_the_callers_mistake(tls: Tls) -> None:
    pem, serial = make_certificate("a.org")
    with full_disk(tls.certs):
        tls.begin()
        answer = tls.put_certificate("a.pem", pem)
        assert answer.status == 507
        assert answer.json["Message"] == f"{tls.certs}/a.pem cannot be written: No space left on device"
        assert tls.api("/v1/certs").json["Certs"] == []
        (tls.certs / "filling.new").unlink()
        assert tls.put_certificate("a.pem", pem).status == 200
        assert tls.serial("a.org") == serial
        tls.end()


def test_certificates_and_records_are_for_replicas_only(controller: Controller) -> None:
    controller.start()
    for path in ("certs/send", "replica/state", "replica/records"):
        for query in ("", "?without=%ff"):
            answer = fetch(controller.port, f"/v1/docker-flow-proxy/{path}{query}", "POST")
            assert (answer.status, "only replicas" in answer.json["Message"]) == (403, True)


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("setReqHeader", "X-A %[no_such]", "unknown fetch method"),
        ("backendExtra", "no-such-keyword", "unknown keyword"),
    ],
)
def test_the_parameter_that_haproxy_refuses_is_the_callers_mistake(
    controller: Controller, parameter: str, value: str, said: str
) -> None:
    """It is named first, and again when the call is repeated."""
    controller.start()
    for _ in range(2):
        answer = controller.reconfigure("web", **WEB, **{parameter: value})
        assert answer.status == 400, answer.text
        assert answer.json["Status"] == "NOK"
        assert answer.json["Message"].startswith(f"{parameter}: ")
        assert said in answer.json["Message"]
    eventually(lambda: controller.status["quarantined"] == {})
    assert controller.reconfigure("web", **WEB).status == 200


def test_what_haproxy_refuses_without_a_parameter_to_blame_is_ours(controller: Controller, tmp_path: Path) -> None:
    template = tmp_path / "be.tmpl"
    template.write_text("backend {{ backends[0].name }}\n    no-such-keyword")
    controller.start()

    answer = controller.reconfigure("web", **WEB, templateBePath=str(template))

    assert (answer.status, "no-such-keyword" in answer.json["Message"]) == (500, True)


def test_two_members_of_a_group_may_have_one_address(controller: Controller, origin: Origins) -> None:
    """They are one server: of one service, and of two whose names lead to the same place."""
    controller.start()
    port, listening = str(origin("web").port), str(free_port())
    group = {"reqMode": "tcp", "srcPort": listening, "port": port, "serviceGroup": "dbs", "groupToken": "open sesame"}
    twice = {f"{name}.{index}": value for index in (1, 2) for name, value in group.items()}

    for name, given in (
        ("one", {"outboundHostname": "127.0.0.1", **twice}),
        ("two", {"outboundHostname": "localhost", **group}),
    ):
        answer = controller.reconfigure(name, **given)
        assert answer.status == 200, answer.text
    states = controller.ask("show servers state group:dbs:" + listening)
    assert [line.split()[3] for line in states.splitlines() if " 127.0.0.1 " in line] == [f"127.0.0.1-{port}"]
    assert fetch(int(listening), "/").text.startswith("web ")
