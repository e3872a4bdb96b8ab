from __future__ import annotations

from routing_cases import candidate

from flowproxy.routing.claims import asked_hosts, claims_of, conditions_of, path_method, shortest


def test_every_host_is_claimed_with_every_path() -> None:
    service = candidate("web", serviceDomain="a.org,*.b.org", servicePath="/x,/y").service

    claims = list(claims_of(service, service.destinations[0], ()))
    assert {(claim.host, claim.path) for claim in claims} == {
        ("a.org", "/x"),
        ("a.org", "/y"),
        ("*.b.org", "/x"),
        ("*.b.org", "/y"),
    }
    assert all(claim.conditions == () for claim in claims)


def test_hosts_that_no_map_finds_are_one_condition() -> None:
    service = candidate("web", serviceDomain="b.org,a.org", serviceDomainAlgo="hdr_end(host)").service

    (claim,) = claims_of(service, service.destinations[0], ())
    assert (claim.host, claim.path) == ("", "/")
    assert list(map(str, claim.conditions)) == ["host end -i a.org or b.org"]


def test_an_exact_path_is_a_key_and_a_condition() -> None:
    service = candidate("web", servicePath="/x", pathType="path").service

    (claim,) = claims_of(service, service.destinations[0], ())
    assert claim.path == "/x"
    assert list(map(str, claim.conditions)) == ["path str /x"]


def test_the_conditions_of_a_destination_apply_to_all_its_requests() -> None:
    destination = candidate(
        "web", servicePath="/", serviceHeader="X-A:1", userAgent="b,a", servicePathExclude="/x"
    ).service.destinations[0]

    assert [str(condition) for condition in conditions_of(destination, 8080)] == [
        "header x-a: 1",
        "user agent with a or b",
        "port 8080",
        "path not beg /x",
    ]


def test_a_path_type_is_a_matching_method() -> None:
    methods = {"path": "str", "path_beg": "beg", "path_end -i": "end -i", "path_reg": "reg"}
    for path_type, method in methods.items():
        assert path_method(candidate("web", servicePath="/a", pathType=path_type).service.destinations[0]) == method


def test_the_hosts_that_a_service_asks_for_are_names_and_patterns() -> None:
    names, patterns = asked_hosts(
        candidate("web", serviceDomain="a.org,*.b.org,*c.org", redirectFromDomain="old.org").service
    )

    assert set(names) == {"a.org", "*.b.org", "old.org"}
    assert [str(pattern) for pattern in patterns] == ["host end -i c.org"]


def test_only_the_shortest_beginnings_are_kept() -> None:
    assert shortest(["/b", "/a/b", "/a", "/ab"]) == ["/a", "/b"]
