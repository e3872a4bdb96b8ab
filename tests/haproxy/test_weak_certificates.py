"""Certificates that Python reads and HAProxy refuses harm nobody, whichever way they come."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from certificates import make_authority, make_certificate
from controller import Origin, Running, Tls
from support import eventually, rounds

Origins = Callable[[str], Origin]


def weak(kind: str) -> str:
    """For bad.org."""
    if kind == "authority":
        return make_certificate("bad.org", key="rsa2048", signer=make_authority("rsa1024"))[0]
    return make_certificate("bad.org", key=kind)[0]


def sha1(folder: Path) -> str:
    """For bad.org, with a signature that only outdated programs make."""
    script = """
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Authority &&
        openssl req -newkey rsa:2048 -nodes -keyout key -out request -subj /CN=bad.org &&
        openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -sha1 -out pem && cat pem ca.pem key"""
    made = subprocess.run(["sh", "-c", script], cwd=folder, check=True, capture_output=True, text=True)
    return made.stdout


WEAK = {
    "rsa1024": "the key of its certificate has 1024 bits, 2048 are needed",
    "authority": "the key of certificate 2 of its chain has 1024 bits",
    "SECP192R1": "the key of its certificate has 192 bits, 224 are needed",
    "dsa1024": "the key of its certificate has 1024 bits",
}


def _innocents_come(tls: Tls, port: str, name: str) -> None:
    """Services that need a reload, and a certificate."""
    wish = {"timeoutServer": "7", "serviceHeader": "X-A:1", "servicePath": f"/{name}"}
    assert tls.reconfigure(name, port=port, outboundHostname="127.0.0.1", **wish).status == 200
    pem, serial = make_certificate(f"{name}.org")
    assert tls.put_certificate(f"{name}.pem", pem).status == 200
    assert tls.serial(f"{name}.org") == serial
    status = tls.status
    assert (status["failure"], status["quarantined"]) == (None, {})


@pytest.mark.parametrize("kind", WEAK)
def test_one_put_by_api_is_refused_with_the_reason_and_changes_nothing(tls: Tls, origin: Origins, kind: str) -> None:
    tls.begin()
    port = str(origin("web").port)
    for name in ("before", "after"):
        answer = tls.put_certificate("bad.pem", weak(kind))
        assert (answer.status, answer.json["Status"]) == (400, "NOK"), name
        assert "HAProxy rejects it: unable to load" in answer.json["Message"]
        assert WEAK[kind] in answer.json["Message"]
        assert str(tls.folder) not in answer.text
        assert not (tls.certs / "bad.pem").exists()
        _innocents_come(tls, port, name)
    good, serial = make_certificate("bad.org")
    assert tls.put_certificate("bad.pem", good).status == 200
    assert tls.put_certificate("bad.pem", weak(kind)).status == 400
    assert (tls.certs / "bad.pem").read_text().split() == good.split()
    assert tls.serial("bad.org") == serial
    master = tls.status["haproxy"]["pid"]
    os.kill(master, signal.SIGKILL)
    eventually(lambda: (tls.status["haproxy"] or {"pid": master})["pid"] != master)
    assert eventually(lambda: tls.serial("bad.org")) == serial


def test_a_signature_of_old(tls: Tls, origin: Origins, tmp_path: Path) -> None:
    """Whether HAProxy takes it is decided by the OpenSSL that it was built with."""
    tls.begin()
    answer = tls.put_certificate("bad.pem", sha1(tmp_path))

    assert answer.status in (200, 400)
    if answer.status == 400:
        assert "its certificate is signed with sha1, sha256 is needed" in answer.json["Message"]
    _innocents_come(tls, str(origin("web").port), "web")


@pytest.mark.parametrize("kind", ["rsa3072", "SECP384R1", "SECP521R1", "SECP256K1", "ed25519", "expired", "authority"])
def test_one_that_is_only_unusual_is_taken(running_tls: Running[Tls], kind: str) -> None:
    tls = running_tls()
    assert tls.put_certificate("first.pem", make_certificate("first.org")[0]).status == 200
    if kind == "expired":
        pem, _ = make_certificate("odd.org", days=-10)
    elif kind == "authority":
        authority = make_authority()
        pem = make_certificate("odd.org", signer=authority)[0].replace(authority.pem, authority.pem * 3)
    else:
        pem, _ = make_certificate("odd.org", key=kind)

    assert tls.put_certificate(f"{kind}.pem", pem).status == 200
    assert f"certs/{kind}.pem" in tls.ask("show ssl cert")
    assert tls.api("/v1/reload").status == 200
    assert tls.status["quarantined_certificates"] == {}


@pytest.mark.parametrize("ending", ["ocsp", "sctl", "issuer", "key", "rsa", "ecdsa"])
def test_a_name_that_haproxy_would_take_for_a_part_of_another(running_tls: Running[Tls], ending: str) -> None:
    """HAProxy reads a.pem.ocsp with a.pem, and ends where it does not hold what its name says."""
    tls = running_tls()
    pem, serial = make_certificate(f"a.{ending}.org")
    other, of_other = make_certificate(f"b.{ending}.org")
    assert tls.put_certificate(f"{ending}-a.pem", pem).status == 200
    assert tls.put_certificate(f"{ending}-a.pem.{ending}", other).status == 200

    assert tls.api("/v1/reload").status == 200
    assert tls.status["failure"] is None
    assert (tls.serial(f"a.{ending}.org"), tls.serial(f"b.{ending}.org")) == (serial, of_other)


@pytest.mark.parametrize("place", ["folder", "secret"])
def test_a_file_is_not_used_and_what_it_replaced_stays(tls: Tls, origin: Origins, place: str) -> None:
    file = tls.certs / "bad.pem" if place == "folder" else tls.secrets / "cert-bad"
    good, serial = make_certificate("bad.org")
    file.write_text(good)
    tls.begin()
    port = str(origin("web").port)
    assert tls.serial("bad.org") == serial
    file.write_text(weak("rsa1024"))

    refused = eventually(lambda: tls.status["quarantined_certificates"], within=15)
    assert list(refused) == [str(file)]
    assert "HAProxy rejects it" in refused[str(file)]
    assert tls.serial("bad.org") == serial
    _innocents_come(tls, port, "web")
    assert "flowproxy_quarantined_certificates 1.0" in tls.api("/metrics").text
    repaired, serial = make_certificate("bad.org")
    file.write_text(repaired)
    eventually(lambda: tls.status["quarantined_certificates"] == {}, within=15)
    assert eventually(lambda: tls.serial("bad.org") == serial)
    assert tls.log.read_text().count("certificate rejected") == 1


def test_a_start_with_a_weak_one_among_many(tls: Tls, origin: Origins) -> None:
    """A garbled one too; the others are used, and the two are named until they are removed."""
    serials = {}
    for number in range(40):
        pem, serials[f"{number}.org"] = make_certificate(f"{number}.org")
        (tls.certs / f"{number}.pem").write_text(pem)
    (tls.certs / "17-weak.pem").write_text(weak("authority"))
    (tls.certs / "99-garbled.pem").write_bytes(os.urandom(100))
    tls.begin()

    assert {name: tls.serial(name) for name in ("0.org", "17.org", "39.org")}.items() <= serials.items()
    assert sorted(tls.status["quarantined_certificates"]) == [
        str(tls.certs / "17-weak.pem"),
        str(tls.certs / "99-garbled.pem"),
    ]
    _innocents_come(tls, str(origin("web").port), "web")
    (tls.certs / "17-weak.pem").unlink()
    (tls.certs / "99-garbled.pem").unlink()
    eventually(lambda: tls.status["quarantined_certificates"] == {}, within=15)


def test_one_of_a_service_is_refused_with_that_service_alone(tls: Tls, origin: Origins) -> None:
    tls.begin()
    port = str(origin("web").port)
    given = {"port": port, "outboundHostname": "127.0.0.1", "serviceDomain": "bad.org"}
    good, serial = make_certificate("bad.org")
    assert tls.reconfigure("bad", serviceCert=good.replace("\n", "\\n"), **given).status == 200

    answer = tls.reconfigure("bad", serviceCert=weak("rsa1024").replace("\n", "\\n"), **given)
    assert answer.status == 400
    assert answer.json["Message"].startswith("serviceCert: HAProxy rejects it: unable to load")
    assert tls.serial("bad.org") == serial
    assert tls.get("/", host="bad.org").status == 200
    _innocents_come(tls, port, "web")
    answer = tls.reconfigure("worse", serviceCert=weak("rsa1024").replace("\n", "\\n"), **given)
    assert answer.status == 400
    assert [service["name"] for service in tls.api("/v1/services").json] == ["bad", "web"]


def test_a_haproxy_whose_files_were_broken_comes_back_as_soon_as_they_are_written_anew(tls: Tls) -> None:
    """Somebody wrote into our own folder, and HAProxy died: the controller writes all of it again."""
    tls.begin()
    pem, serial = make_certificate("a.org")
    assert tls.put_certificate("a.pem", pem).status == 200
    (tls.folder / "certs" / "a.pem").write_text(weak("rsa1024"))
    os.kill(tls.status["haproxy"]["pid"], signal.SIGKILL)

    assert eventually(lambda: tls.serial("a.org")) == serial
    assert eventually(lambda: tls.status["failure"] is None)


@pytest.mark.longer
def test_many_put_at_once_are_all_served(tls: Tls) -> None:
    tls.begin()
    made = {f"{number}.org": make_certificate(f"{number}.org") for number in range(rounds(60, soak=300))}
    with ThreadPoolExecutor(20) as callers:
        put = callers.map(lambda name: tls.put_certificate(f"{name}.pem", made[name][0]).status, made)
        assert set(put) == {200}

    assert {name: tls.serial(name) for name in made} == {name: serial for name, (_, serial) in made.items()}
    assert "background loop failed" not in tls.log.read_text()


@pytest.mark.longer
def test_one_that_is_put_over_itself_quickly_is_the_last_one(tls: Tls) -> None:
    """Contents of one length within one tick of the clock."""
    tls.begin()
    for _ in range(rounds(10, soak=60)):
        pem, serial = make_certificate("a.org")
        assert tls.put_certificate("a.pem", pem).status == 200
        assert tls.serial("a.org") == serial
    assert tls.put_certificate("a.pem.new", pem).status == 400
