"""Which requests a service gets."""

from __future__ import annotations

import pytest
from featured import PLAIN, configuration

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


def test_hosts_and_paths_are_keys_of_maps() -> None:
    maps = configuration({"serviceDomain": "A.org,*.b.org", "servicePath": "/x,/y"}).maps

    assert sorted(maps["exact"]) == ["a.org/x", "a.org/y"]
    assert sorted(maps["wildcard"]) == [".b.org/x", ".b.org/y"]


def test_conditions_are_rules_of_the_frontend() -> None:
    found = configuration({"serviceHeader": "X-V:3", "userAgent": "curl"})

    assert next(iter(found.maps["any"].values())).startswith("?")
    assert "{ req.hdr(x-v) -m str -- 3 }" in found.head
    assert "{ req.fhdr(user-agent,1) -m sub -i -- curl }" in found.head


def test_the_old_way_to_match_subdomains() -> None:
    assert parse({**PLAIN, "serviceDomainMatchAll": "true"}).service_domain_algo == "hdr_dom(host)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("servicePath", "shop"),
        ("servicePath", "/a b"),
        ("servicePathExclude", "/a?b"),
        ("serviceDomain", "a.org/x"),
        ("serviceHeader", "X-V"),
        ("pathType", "path_beg -f /etc/passwd"),
        ("serviceDomainAlgo", "src"),
        ("port", "0"),
        ("aclName", "a:b"),
        ("excludePath", "/admin"),
    ],
)
def test_what_is_not_understood_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidService, match=name):
        parse({**PLAIN, name: value})
