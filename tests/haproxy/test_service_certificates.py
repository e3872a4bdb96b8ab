"""A certificate that comes with a service is shown for that service's own hosts, and for no one else's."""

from __future__ import annotations

from collections.abc import Callable

from certificates import make_certificate
from controller import Origin, Running, Tls
from support import eventually

Origins = Callable[[str], Origin]


def bring(tls: Tls, service: str, pem: str = "", **parameters: str) -> None:
    """A service with its certificate, on a port where nobody answers."""
    given = {"port": "9", "outboundHostname": "127.0.0.1", **parameters}
    if pem:
        given["serviceCert"] = pem.replace("\n", "\\n")
    answer = tls.reconfigure(service, **given)
    assert answer.status == 200, answer.text


def conflict(tls: Tls, service: str) -> list[tuple[str, str]]:
    found = tls.api(f"/v1/services/{service}").json["conflicts"]
    return [(one["route"], one["winner"]) for one in found if one["loser"] == service]


def test_below_the_wildcard_of_somebody_only_who_has_the_route(running_tls: Running[Tls]) -> None:
    theirs, serial = make_certificate("*.x.org")
    tls = running_tls()
    bring(tls, "victim", theirs, serviceDomain="*.x.org")
    bring(tls, "owner", serviceDomain="login.x.org")
    for name, more in (
        ("loser", {"serviceDomain": "login.x.org"}),
        ("path", {"serviceDomain": "login.x.org", "servicePath": "/.well-known/"}),
        ("condition", {"serviceDomain": "login.x.org", "servicePath": "/", "serviceHeader": "X-A:1"}),
        ("stranger", {"serviceDomain": "other.org"}),
        ("everything", {"servicePath": "/everything"}),
    ):
        bring(tls, name, make_certificate("login.x.org")[0], **more)

        assert ("the certificate for login.x.org", "victim") in conflict(tls, name), name
        assert tls.serial("login.x.org") == serial, name
        assert name not in tls.status["quarantined"]
    assert tls.get("/", host="other.org").status == 503  # its origin does not answer, but it is routed
    assert tls.api("/v1/explain", url="http://other.org/").json["route"]["service"] == "stranger"


def test_the_route_decides_and_not_who_was_first_with_a_certificate(running_tls: Running[Tls]) -> None:
    tls = running_tls()
    bring(tls, "owner", serviceDomain="a.org")
    bring(tls, "thief", make_certificate("a.org")[0], serviceDomain="a.org")
    assert conflict(tls, "thief") == [("a.org/", "owner"), ("the certificate for a.org", "owner")]
    assert "a.org" not in tls.ask("show ssl cert")

    pem, serial = make_certificate("a.org")
    bring(tls, "owner", pem, serviceDomain="a.org")
    assert tls.serial("a.org") == serial


def test_a_service_for_any_host_shows_its_certificate_until_a_host_is_somebody_elses(running_tls: Running[Tls]) -> None:
    tls = running_tls()
    pem, serial = make_certificate("a.org", "b.org")
    bring(tls, "all", pem, servicePath="/")
    assert tls.serial("b.org") == serial

    bring(tls, "b", serviceDomain="b.org")
    assert conflict(tls, "all") == [("the certificate for b.org", "b")]


def test_a_younger_service_never_has_the_default_certificate(running_tls: Running[Tls]) -> None:
    """The one for clients without a server name: neither when it comes nor after a reload or a restart."""
    older, serial = make_certificate("z.org")
    tls = running_tls()
    bring(tls, "z", older, serviceDomain="z.org")
    bring(tls, "a", make_certificate("a.org")[0], serviceDomain="a.org")
    assert tls.serial(None) == serial
    assert tls.api("/v1/reload").status == 200
    assert tls.serial(None) == serial
    bring(tls, "0", make_certificate("0.org")[0], serviceDomain="0.org", servicePath="/", timeoutServer="7")
    assert tls.serial(None) == serial

    pem, of_folder = make_certificate("zz.org")
    assert tls.put_certificate("zz.pem", pem).status == 200
    assert eventually(lambda: tls.serial(None) == of_folder)
