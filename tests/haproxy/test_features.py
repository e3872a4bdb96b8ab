"""What a client sees of each parameter: put by API, asked through a real HAProxy, answered by an echoing origin."""

from __future__ import annotations

import base64
import gzip
import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from controller import Answer, Controller, Origin, fetch
from support import eventually

Origins = Callable[[str], Origin]
Web = Callable[..., Answer]


@pytest.fixture
def web(controller: Controller, origin: Origins) -> Web:
    """Registers a service with an origin of its own; what is not said otherwise listens on every path."""

    def put(name: str = "web", **parameters: str) -> Answer:
        if controller.process is None:
            controller.start()
        port = str(origin(name).port)
        given = {"servicePath": "/", "port": port, "outboundHostname": "127.0.0.1", **parameters}
        return controller.reconfigure(name, **{key: value for key, value in given.items() if value})

    return put


def path_seen(answer: Answer) -> str:
    """The path that the origin was asked for."""
    return answer.text.split()[1]


def headers_seen(answer: Answer) -> dict[str, str]:
    """The headers that the origin was sent, in lower case."""
    lines = answer.text.splitlines()[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


# Matching


@pytest.mark.parametrize(
    ("parameters", "served", "not_served"),
    [
        ({"servicePath": "/demo"}, ["/demo/hello", "/demoX"], ["/DEMO", "/"]),
        ({"servicePath": "/p1,/p2"}, ["/p1", "/p2/x"], ["/p3"]),
        ({"servicePath": "/p1,/p2", "pathType": "path"}, ["/p2"], ["/p2/x"]),
        ({"servicePath": "^/r[0-9]+,/zz", "pathType": "path_reg"}, ["/r12", "/a/zz"], ["/rr", "/path_reg"]),
        ({"servicePath": ".png", "pathType": "path_end -i"}, ["/a.PNG"], ["/png/a"]),
        ({"servicePath": "/demo", "servicePathExclude": "/demo/hello"}, ["/demo/other"], ["/demo/hello/x"]),
    ],
)
def test_paths(
    controller: Controller, web: Web, parameters: dict[str, str], served: list[str], not_served: list[str]
) -> None:
    web(**parameters)

    assert {path: controller.get(path).status for path in served} == dict.fromkeys(served, 200)
    assert {path: controller.get(path).status for path in not_served} == dict.fromkeys(not_served, 503)


@pytest.mark.parametrize(
    ("parameters", "served", "not_served"),
    [
        (
            {"serviceDomain": "my-domain.com"},
            ["my-domain.com", "MY-DOMAIN.com:8080"],
            ["other.com", "www.my-domain.com"],
        ),
        ({"serviceDomain": "a.com,b.com"}, ["a.com", "b.com"], ["c.com"]),
        ({"serviceDomain": "any.com"}, ["any.com"], ["any.com.evil.org"]),
        ({"serviceDomain": "any.com", "serviceDomainAlgo": "hdr_beg(host)"}, ["any.com.evil.org"], ["www.any.com"]),
        ({"serviceDomain": "any.com", "serviceDomainAlgo": "hdr(host)"}, ["any.com"], ["www.any.com"]),
        ({"serviceDomain": "al.com", "serviceDomainMatchAll": "true"}, ["www.al.com", "al.com"], ["wwwal.com"]),
        ({"serviceDomain": "*domain-1"}, ["my-domain-1", "domain-1"], ["domain-11"]),
        ({"serviceDomain": "*.a.com,*.b.com"}, ["x.a.com", "y.x.b.com"], ["a.com", "xa.com"]),
    ],
)
def test_domains(
    controller: Controller, web: Web, parameters: dict[str, str], served: list[str], not_served: list[str]
) -> None:
    web(**parameters)
    web("other", servicePath="/never")

    assert {host: controller.get("/x", host=host).status for host in served} == dict.fromkeys(served, 200)
    assert {host: controller.get("/x", host=host).status for host in not_served} == dict.fromkeys(not_served, 503)


@pytest.mark.parametrize(
    ("parameters", "headers", "status"),
    [
        ({"serviceHeader": "X-Version:3"}, {"X_Version": "3"}, 200),
        ({"serviceHeader": "X-Version:3"}, {}, 503),
        ({"serviceHeader": "X-Version:3,name:Viktor"}, {"X_Version": "3", "Name": "Viktor"}, 200),
        ({"serviceHeader": "X-Version:3,name:Viktor"}, {"X_Version": "3", "Name": "viktor"}, 503),
        ({"serviceHeader": "X-A:b:c"}, {"X_A": "b:c"}, 200),
        ({"serviceHeader": "X-A:b:c"}, {}, 503),
        ({"userAgent": "amiga,amstrad"}, {"User_Agent": "Mozilla (AmigaOS)"}, 200),
        ({"userAgent": "amiga,amstrad"}, {"User_Agent": "curl"}, 503),
    ],
)
def test_conditions(
    controller: Controller, web: Web, parameters: dict[str, str], headers: dict[str, str], status: int
) -> None:
    web(**parameters)

    assert controller.get("/", **headers).status == status


def test_each_header_value_selects_its_destination(controller: Controller, origin: Origins) -> None:
    controller.start()
    one, two = origin("one"), origin("two")
    both = {"servicePath": "/", "outboundHostname": "127.0.0.1", "serviceHeader_1": "X-V:1", "serviceHeader_2": "X-V:2"}
    controller.reconfigure("web", **both, port_1=str(one.port), port_2=str(two.port))

    assert controller.get("/", X_V="1").text.split()[0] == "one"
    assert controller.get("/", X_V="2").text.split()[0] == "two"


def test_the_source_port_decides(controller: Controller, origin: Origins) -> None:
    other = Controller(controller.folder).traffic
    controller.start(BIND_PORTS=str(other))
    one, two = origin("one"), origin("two")
    controller.reconfigure(
        "web",
        servicePath="/",
        outboundHostname="127.0.0.1",
        srcPort_1=str(controller.traffic),
        port_1=str(one.port),
        srcPort_2=str(other),
        port_2=str(two.port),
    )

    assert controller.get("/").text.split()[0] == "one"
    assert fetch(other, "/").text.split()[0] == "two"


def test_the_default_backend(controller: Controller, web: Web) -> None:
    web(servicePath="/xxx", isDefaultBackend="true")

    assert controller.get("/anything").status == 200


def test_a_well_known_path_goes_before_the_domain_that_owns_the_rest(controller: Controller, web: Web) -> None:
    web("site", serviceDomain="acme.com")
    web("wk", serviceDomain="acme.com", servicePath="/.well-known/acme-challenge")

    assert controller.get("/.well-known/acme-challenge/x", host="acme.com").text.split()[0] == "wk"


# What happens to requests


@pytest.mark.parametrize(
    ("parameters", "asked", "seen"),
    [
        ({"reqPathSearch": "/something"}, "/something/demo", "/demo"),
        ({"reqPathSearch": "/something/", "reqPathReplace": "/demo/"}, "/something/x", "/demo/x"),
        ({"reqPathSearchReplace": "/else/,/demo/"}, "/else/hello", "/demo/hello"),
        ({"reqPathSearchReplace": "/a,/b:/b/c,/d"}, "/a/c/x?q=/a", "/d/x?q=/a"),
        ({"reqPathSearchReplace": "^/v[0-9]+/(.*)$,/\\1"}, "/v12/x", "/x"),
        ({"reqPathSearchReplace": '/a b\'s "c"(d)#,/ok'}, "/z", "/z"),
    ],
)
def test_paths_are_rewritten(
    controller: Controller, web: Web, parameters: dict[str, str], asked: str, seen: str
) -> None:
    assert web(**parameters).status == 200

    assert path_seen(controller.get(asked)) == seen


@pytest.mark.parametrize(
    ("parameters", "sent", "seen"),
    [
        ({"addReqHeader": "X-A one"}, {}, {"x-a": "one"}),
        ({"addHeader": "X-A one,X-B two"}, {}, {"x-a": "one", "x-b": "two"}),
        ({"setReqHeader": "X-A %[path]"}, {"X_A": "mine"}, {"x-a": "/"}),
        ({"setHeader": 'X-A "one, two"'}, {}, None),
        ({"addReqHeader": "X-A one if { req.hdr(X-C) -m found }"}, {}, {"x-a": None}),
        ({"addReqHeader": "X-A one if { req.hdr(X-C) -m found }"}, {"X_C": "1"}, {"x-a": "one"}),
        ({"delReqHeader": "X-A"}, {"X_A": "one"}, {"x-a": None}),
        ({"setReqHeader": "X-A \"$HOME ${PATH} 'q'\""}, {}, {"x-a": "$HOME ${PATH} 'q'"}),
        ({"setReqHeader": "X-A {{ 7 * 7 }}"}, {}, None),
    ],
)
def test_request_headers(
    controller: Controller, web: Web, parameters: dict[str, str], sent: dict[str, str], seen: dict[str, Any] | None
) -> None:
    status = web(**parameters).status
    if seen is None:  # it is refused, here or by HAProxy, and everything else goes on
        assert status in (400, 500)
        assert web("other", servicePath="/other").status == 200
        return
    found = headers_seen(controller.get("/", **sent))

    assert {name: found.get(name) for name in seen} == seen


def test_an_old_name_is_told_once(controller: Controller, web: Web) -> None:
    web(addHeader="X-A one")
    web(addHeader="X-A two")

    log = controller.log.read_text()
    assert log.count("deprecated parameter") == 1
    assert "instead=addReqHeader" in log


def test_response_headers(controller: Controller, web: Web) -> None:
    web(
        addResHeader="my-res-header my-res-value",
        setResHeader='Strict-Transport "max-age=1; preload"',
        delResHeader="Server",
    )

    headers = controller.get("/").headers
    assert headers["my-res-header"] == "my-res-value"
    assert headers["strict-transport"] == "max-age=1; preload"
    assert "server" not in {name.lower() for name in headers}


@pytest.mark.parametrize(
    ("parameters", "method", "status"),
    [
        ({"allowedMethods": "GET,DELETE"}, "GET", 200),
        ({"allowedMethods": "GET,DELETE"}, "PUT", 403),
        ({"deniedMethods": "GET"}, "GET", 403),
        ({"allowedMethods": "GET,PUT", "deniedMethods": "PUT"}, "PUT", 403),
        ({"denyHttp": "true"}, "GET", 403),
    ],
)
def test_access(controller: Controller, web: Web, parameters: dict[str, str], method: str, status: int) -> None:
    assert web(**parameters).status == 200

    assert fetch(controller.traffic, "/", method=method).status == status


@pytest.mark.parametrize(
    ("parameters", "headers", "status", "location"),
    [
        ({"httpsOnly": "true"}, {}, 302, "https://acme.com:81/a?b=c"),
        ({"httpsOnly": "true", "httpsRedirectCode": "301"}, {}, 301, "https://acme.com:81/a?b=c"),
        ({"redirectWhenHttpProto": "true"}, {"X_Forwarded_Proto": "http"}, 302, "https://acme.com:81/a?b=c"),
        ({"redirectWhenHttpProto": "true"}, {"X_Forwarded_Proto": "https"}, 200, None),
        ({"redirectWhenHttpProto": "true"}, {}, 200, None),
        ({"redirectUnlessHttpsProto": "true", "httpsRedirectCode": "308"}, {}, 308, "https://acme.com:81/a?b=c"),
        ({"redirectUnlessHttpsProto": "true"}, {"X_Forwarded_Proto": "https"}, 200, None),
    ],
)
def test_redirects(
    controller: Controller,
    web: Web,
    parameters: dict[str, str],
    headers: dict[str, str],
    status: int,
    location: str | None,
) -> None:
    web(serviceDomain="acme.com", **parameters)
    answer = controller.get("/a?b=c", host="acme.com:81", **headers)

    assert (answer.status, answer.headers.get("location")) == (status, location)


def test_https_only_of_the_whole_holds_for_every_destination(controller: Controller, web: Web) -> None:
    web(servicePath="", servicePath_1="/", httpsOnly="true", httpsOnly_1="false")

    assert controller.get("/").status == 302


def test_https_only_by_setting(controller: Controller, web: Web) -> None:
    controller.start(HTTPS_ONLY="true")
    web()

    assert controller.get("/").status == 302


def test_an_old_domain_redirects_to_the_new_one(controller: Controller, web: Web) -> None:
    web(serviceDomain="new.com", redirectFromDomain="old.com,*.old.com")

    for host in ("old.com", "www.old.com"):
        answer = controller.get("/a?b=c", host=host)
        assert (answer.status, answer.headers["location"]) == (301, "http://new.com/a?b=c")
    assert controller.get("/", host="new.com").status == 200


def test_a_silent_service_is_given_up(controller: Controller, web: Web) -> None:
    web(timeoutServer="1")

    assert controller.get("/wait").status == 504


@pytest.mark.parametrize("mode", ["http-server-close", "http-tunnel", "forceclose", "http-keep-alive"])
def test_connection_modes_of_any_age_are_taken(controller: Controller, web: Web, mode: str) -> None:
    assert web(connectionMode=mode).status == 200
    assert controller.get("/").status == 200


def test_compression_of_one_service_leaves_the_others_alone(controller: Controller, web: Web) -> None:
    web(servicePath="/zip", compressionAlgo="gzip", compressionType="text/plain")
    web("plain", servicePath="/plain")

    def encoding(path: str) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", controller.traffic, timeout=10)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        found = answer.getheader("Content-Encoding")
        assert (gzip.decompress(body) if found else body).decode().split()[1] == path
        connection.close()
        return found

    assert encoding("/zip") == "gzip"
    assert encoding("/plain") is None


def test_extra_lines_of_a_backend(controller: Controller, web: Web) -> None:
    web(backendExtra='http-request set-header X-A "a + b & c"\nhttp-response set-header X-B 1')
    answer = controller.get("/")

    assert headers_seen(answer)["x-a"] == "a + b & c"
    assert answer.headers["x-b"] == "1"


def test_garbage_in_a_backend_is_that_services_error_alone(controller: Controller, web: Web) -> None:
    web("other", servicePath="/other")
    web(backendExtra="http-request set-header X-A 1")
    answer = web(backendExtra="garbage here")

    assert answer.status == 400
    assert "garbage" in answer.json["Message"]
    assert headers_seen(controller.get("/"))["x-a"] == "1"
    assert controller.get("/other").status == 200
    assert web("third", servicePath="/third").status == 200


def test_of_many_services_at_once_only_the_bad_ones_are_refused(controller: Controller, origin: Origins) -> None:
    port = str(origin("web").port)
    environment: dict[str, str] = {}
    for number in range(1, 31):
        prefix = f"DFP_SERVICE_{number}"
        environment |= {
            f"{prefix}_SERVICE_NAME": f"s{number}",
            f"{prefix}_SERVICE_PATH": f"/s{number}/",
            f"{prefix}_PORT": port,
            f"{prefix}_OUTBOUND_HOSTNAME": "127.0.0.1",
        }
        if number in (7, 8, 23):
            environment[f"{prefix}_BACKEND_EXTRA"] = "garbage"
    controller.start(**environment)

    assert controller.status["quarantined"].keys() == {"s7", "s8", "s23"}
    served = [number for number in range(1, 31) if controller.get(f"/s{number}/").status == 200]
    assert served == [number for number in range(1, 31) if number not in (7, 8, 23)]


# Users


def basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}


HASH = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"  # password


@pytest.mark.parametrize(
    ("parameters", "right", "wrong"),
    [
        ({"users": "admin:password"}, ["admin:password"], ["admin:x", "other:password"]),
        ({"users": "a:p:q, b:c+d&e\n"}, ["a:p:q", "b:c+d&e"], ["a:p"]),
        ({"users": "ww:,:asd,u:p"}, ["u:p"], ["ww:", ":asd"]),
        ({"usersSecret": "mine"}, ["user1:secret1", "user2:secret2"], ["user1:x"]),
        ({"users": "user1:x,user2", "usersSecret": "mine"}, ["user1:x", "user2:secret2"], ["user1:secret1"]),
        ({"users": f"admin:{HASH}", "usersPassEncrypted": "true"}, ["admin:password"], [f"admin:{HASH}", "admin:x"]),
        ({"users": "u2"}, ["u2:p2"], ["u1:p1", "u2:x"]),
        ({}, ["u1:p1", "u2:p2"], ["u1:x"]),
    ],
)
def test_users(
    controller: Controller, web: Web, tmp_path: Path, parameters: dict[str, str], right: list[str], wrong: list[str]
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "dfp_users_mine").write_text("user1:secret1\nuser2:secret2\n")
    settings = (
        {"USERS": "u1:p1,u2:p2"} if parameters.get("users", "u2") == "u2" and "usersSecret" not in parameters else {}
    )
    controller.start(FLOWPROXY_SECRETS=str(secrets), **settings)
    web(**parameters)

    assert controller.get("/").status == 401
    assert [controller.get("/", **basic(user)).status for user in right] == [200] * len(right)
    assert [controller.get("/", **basic(user)).status for user in wrong] == [401] * len(wrong)


def test_the_service_does_not_see_the_credentials_unless_authorization_is_ignored(
    controller: Controller, web: Web
) -> None:
    web(users="u:p", servicePath="", servicePath_1="/", servicePath_2="/open", ignoreAuthorization_2="true")

    assert "authorization" not in headers_seen(controller.get("/", **basic("u:p")))
    assert "authorization" in headers_seen(controller.get("/open", **basic("any:one")))
    assert controller.get("/open").status == 200


# Globals


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        ({"EXTRA_FRONTEND": "http-request deny if { path_beg /deny },http-request set-header X-A 1"}, "deny"),
        ({"EXTRA_GLOBAL": "maxconn 123,nbthread 1"}, "maxconn"),
        ({"CAPTURE_REQUEST_HEADER": "X-A:15,X-B:10"}, "capture"),
        ({"COMPRESSION_ALGO": "gzip", "COMPRESSION_TYPE": "text/html text/plain"}, "gzip"),
    ],
)
def test_global_extras(controller: Controller, web: Web, settings: dict[str, str], check: str) -> None:
    controller.start(**settings)
    web()

    assert controller.get("/").status == 200
    if check == "deny":
        assert controller.get("/deny").status == 403
    text = controller.api("/v1/config").text
    assert check in text


@pytest.mark.parametrize(
    ("settings", "without", "with_"),
    [
        ({"STATS_USER": "none", "STATS_PASS": "none"}, 200, 200),
        ({"STATS_USER": "admin", "STATS_PASS": "se cret"}, 401, 200),
        ({"STATS_USER": "admin", "STATS_PASS": "se cret", "STATS_URI": "/st"}, 401, 200),
        (
            {"MY_USER": "admin", "MY_PASS": "se cret", "STATS_USER_ENV": "MY_USER", "STATS_PASS_ENV": "MY_PASS"},
            401,
            200,
        ),
        ({}, 503, 503),
    ],
)
def test_the_statistics_page(controller: Controller, settings: dict[str, str], without: int, with_: int) -> None:
    controller.start(**settings)
    path = settings.get("STATS_URI", "/admin?stats")

    assert controller.get(path).status == without
    assert controller.get(path, **basic("admin:se cret")).status == with_


def test_the_statistics_page_on_a_port_of_its_own(controller: Controller) -> None:
    """T165."""
    port = Controller(controller.folder).traffic
    controller.start(STATS_USER="none", STATS_PASS="none", STATS_PORT=str(port), STATS_URI="/st")

    assert fetch(port, "/st").status == 200
    assert controller.get("/st").status == 503


def test_debug_logs_every_request(controller: Controller, web: Web) -> None:
    """T170."""
    controller.start(DEBUG="true")
    web()
    controller.get("/logged-request")

    assert eventually(lambda: "GET /logged-request" in controller.log.read_text())


def test_only_services_of_this_instance_are_taken(controller: Controller, web: Web) -> None:
    controller.start(FILTER_PROXY_INSTANCE_NAME="true", PROXY_INSTANCE_NAME="mine")

    assert web("none", servicePath="/none").status == 200
    assert web("other", servicePath="/other", proxyInstanceName="theirs").status == 200
    assert web("ours", servicePath="/ours", proxyInstanceName="MINE").status == 200
    assert [controller.get(path).status for path in ("/none", "/other", "/ours")] == [503, 503, 200]
    assert web("ours", servicePath="/ours", proxyInstanceName="theirs").status == 200
    assert controller.get("/ours").status == 503


@pytest.mark.parametrize("session", ["sticky-server"])
def test_a_cookie_keeps_a_client_with_its_server(controller: Controller, web: Web, session: str) -> None:
    web(sessionType=session)
    cookie = controller.get("/").headers["set-cookie"]

    assert cookie.startswith("web=")
    assert "127.0.0.1" not in cookie
