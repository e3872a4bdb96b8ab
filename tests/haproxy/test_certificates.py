"""Certificates as a TLS client sees them, and that none of them costs a reload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import make_certificate
from controller import Origin, Tls, fetch
from support import eventually

Origins = Callable[[str], Origin]


def test_without_a_certificate_the_port_speaks_plain_http(tls: Tls) -> None:
    tls.begin()

    assert fetch(tls.tls, "/").status == 503


def test_a_certificate_put_by_api_is_live_when_the_call_is_answered(tls: Tls) -> None:
    tls.begin()
    pem, serial = make_certificate("a.org")
    answer = tls.put_certificate("a.org.pem", pem)

    assert (answer.status, answer.json) == (200, {"Status": "OK", "Message": "", "Certs": None})
    assert tls.serial("a.org") == serial
    assert f"ssl crt-list {tls.folder}/crt-list.txt" in tls.api("/v1/docker-flow-proxy/config").text


def test_a_certificate_is_replaced_added_and_removed_without_a_reload(tls: Tls) -> None:
    tls.begin()
    first, _ = make_certificate("a.org")
    tls.put_certificate("a.org.pem", first)
    before = tls.status
    second, replaced = make_certificate("a.org")
    other, added = make_certificate("b.org")
    tls.put_certificate("a.org.pem", second)
    tls.put_certificate("b.org.pem", other)

    assert tls.serial("a.org") == replaced
    assert tls.serial("b.org") == added
    (tls.certs / "b.org.pem").unlink()
    eventually(lambda: tls.serial("b.org") == replaced, within=15)
    after = tls.status
    assert after["haproxy"]["worker"] == before["haproxy"]["worker"]
    assert after["reloads"] == before["reloads"]


def test_a_broken_certificate_is_refused_and_the_old_one_stays(tls: Tls) -> None:
    tls.begin()
    pem, serial = make_certificate("a.org")
    tls.put_certificate("a.org.pem", pem)
    other, _ = make_certificate("a.org")
    leaf, _, _ = pem.partition("\n\n")
    foreign_key = other[other.index("-----BEGIN PRIVATE") :]

    for broken, reason in [
        ("garbage", "no CERTIFICATE"),
        (leaf, "one PRIVATE KEY"),
        (f"{leaf}\n{foreign_key}", "the key is not that of its first certificate"),
        (pem.replace("MII", "MIX", 1), "cannot be read"),
    ]:
        answer = tls.put_certificate("a.org.pem", broken)
        assert (answer.status, answer.json["Status"]) == (400, "NOK")
        assert reason in answer.json["Message"]
    assert tls.put_certificate("../../etc/x", pem).status == 400
    assert tls.put_certificate("", pem).status == 400
    assert tls.put_certificate("x.pem", "").status == 400
    assert tls.serial("a.org") == serial


def test_files_and_secrets_are_certificates_and_other_secrets_are_not(tls: Tls) -> None:
    serials = {}
    for folder, name, domain in [
        (tls.certs, "any-name", "a.org"),
        (tls.secrets, "cert-b", "b.org"),
        (tls.secrets, "cert_c.pem", "c.org"),
        (tls.secrets, "not-a-cert", "d.org"),
    ]:
        pem, serials[domain] = make_certificate(domain)
        (folder / name).write_text(pem)
    tls.begin()

    for domain in ("a.org", "b.org", "c.org"):
        assert tls.serial(domain) == serials[domain]
    assert tls.serial("d.org") != serials["d.org"]
    shown = tls.api("/v1/docker-flow-proxy/certs").json["Certs"]
    assert [(item["ProxyServiceName"], item["CertsDir"]) for item in shown] == [("any-name", str(tls.certs))]


def test_a_file_that_appears_is_found(tls: Tls) -> None:
    tls.begin()
    pem, serial = make_certificate("a.org")
    tls.put_certificate("first.pem", make_certificate("x.org")[0])
    (tls.certs / "late.pem").write_text(pem)

    eventually(lambda: tls.serial("a.org") == serial, within=15)


def test_the_preferred_certificate_is_for_clients_without_a_name(tls: Tls) -> None:
    serials = {}
    for name in ("a", "dev2.my-cert.com", "dev3.x"):
        pem, serials[name] = make_certificate(f"{name}.org")
        (tls.certs / name).write_text(pem)
    tls.begin(PREFERRED_CERTIFICATE="dev3*,dev2.my-cert.com")

    assert tls.serial(None) == serials["dev3.x"]


def test_a_certificate_may_come_with_a_service(tls: Tls, origin: Origins) -> None:
    tls.begin()
    pem, serial = make_certificate("a.org")
    web = {"serviceDomain": "a.org", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    answer = tls.reconfigure("web", **web, serviceCert=pem.replace("\n", "\\n"))

    assert answer.status == 200
    assert tls.serial("a.org") == serial
    seen = tls.get_tls("/")
    assert "x-forwarded-proto: https" in seen.text.lower()
    assert "PRIVATE KEY" not in tls.api("/v1/services/web").text + answer.text + tls.log.read_text()
    assert tls.reconfigure("web", **web, serviceCert="garbage").status == 400


@pytest.mark.parametrize(("enabled", "protocol"), [("true", "h2"), ("false", "http/1.1")])
def test_http_2_is_offered_as_set(tls: Tls, enabled: str, protocol: str) -> None:
    (tls.certs / "a").write_text(make_certificate("a.org")[0])
    tls.begin(ENABLE_H2=enabled)

    with tls.connect("a.org", protocols=("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == protocol


def test_plain_and_encrypted_requests_are_distinguished(tls: Tls, origin: Origins) -> None:
    pem = make_certificate("a.org")[0]
    (tls.certs / "a").write_text(pem)
    authority = tls.secrets / "ca.pem"
    authority.write_text(pem.partition("\n\n")[0])
    tls.begin(CA_FILE=str(authority))
    port = str(origin("web").port)
    tls.reconfigure("one", servicePath="/one", port=port, outboundHostname="127.0.0.1", httpsOnly="true")
    tls.reconfigure("two", servicePath="/two", port=port, outboundHostname="127.0.0.1", denyHttp="true")
    tls.reconfigure("three", servicePath="/three", port=port, outboundHostname="127.0.0.1", verifyClientSsl="true")

    assert [tls.get(path).status for path in ("/one", "/two")] == [302, 403]
    assert [tls.get_tls(path).status for path in ("/one", "/two", "/three")] == [200, 200, 403]


def test_http_and_https_can_go_to_ports_of_their_own(tls: Tls, origin: Origins) -> None:
    (tls.certs / "a").write_text(make_certificate("a.org")[0])
    tls.begin()
    plain, secure = origin("plain"), origin("secure")
    tls.reconfigure(
        "web",
        servicePath="/",
        outboundHostname="127.0.0.1",
        port=str(plain.port),
        httpsPort=str(secure.port),
        srcPort=str(tls.traffic),
        srcHttpsPort=str(tls.tls),
    )

    assert tls.get("/").text.split()[0] == "plain"
    assert tls.get_tls("/").text.split()[0] == "secure"


def test_a_list_of_the_users_own(tls: Tls, tmp_path: Path) -> None:
    pem, serial = make_certificate("a.org")
    (tmp_path / "own.pem").write_text(pem)
    (tmp_path / "own-list.txt").write_text(f"{tmp_path}/own.pem\n")
    tls.begin(CRT_LIST_PATH=str(tmp_path / "own-list.txt"))

    assert tls.serial("a.org") == serial
