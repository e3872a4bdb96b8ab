"""The owners of hosts where hosts belong to stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.features import Defaults
from flowproxy.routing.ownership import HostOwners, settled
from flowproxy.services.admission import Admission, Rules
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.services.store import Store


def candidate(name: str, created: float, stack: str = "", **parameters: str) -> Candidate:
    given = {"port": "80", "servicePath": "/", **parameters}
    return Candidate(parse({"serviceName": name, **given}), created, stack)


def refused(*candidates: Candidate) -> set[str]:
    return set(HostOwners().refusals(candidates))


OWNER = candidate("owner", 1, "shop", serviceDomain="a.org,*.b.org")


@pytest.mark.parametrize("domain", ["a.org", "b.org,a.org", "x.b.org", "*.b.org", "*.x.b.org", "x.y.b.org", "*.org"])
def test_a_host_of_another_stack_is_refused(domain: str) -> None:
    assert refused(OWNER, candidate("young", 2, "evil", serviceDomain=domain)) == {"young"}
    assert refused(OWNER, candidate("young", 2, "", serviceDomain=domain)) == {"young"}
    assert refused(OWNER, candidate("young", 2, "shop", serviceDomain=domain)) == set()
    assert refused(candidate("old", 0, "evil", serviceDomain=domain), OWNER) in ({"owner"}, set())


@pytest.mark.parametrize("domain", ["b.org", "x.a.org", "*.a.org", "aa.org", "xb.org", "c.net"])
def test_other_hosts_are_accepted(domain: str) -> None:
    assert refused(OWNER, candidate("young", 2, "evil", serviceDomain=domain)) == set()


@pytest.mark.parametrize(
    ("algorithm", "domain", "covers"),
    [
        ("hdr_end(host)", "org", True),
        ("hdr_end(host)", "net", False),
        ("hdr_end(host)", "x.b.org", True),
        ("hdr_beg(host)", "a", True),
        ("hdr_dom(host)", "org", True),
        ("hdr_reg(host)", "^c", True),
        ("hdr(host)", "c.net", False),
    ],
)
def test_a_pattern_that_may_match_a_host_of_another_stack_is_refused(algorithm: str, domain: str, covers: bool) -> None:
    young = candidate("young", 2, "evil", serviceDomain=domain, serviceDomainAlgo=algorithm)

    assert refused(OWNER, young) == ({"young"} if covers else set())


def test_only_the_oldest_service_can_share_a_host() -> None:
    second = candidate("second", 2, "shop", serviceDomain="a.org", shareHost="true")
    young = candidate("young", 3, "evil", serviceDomain="a.org", shareHost="true")
    generous = candidate("owner", 1, "shop", serviceDomain="a.org", shareHost="true")

    assert refused(OWNER, second, young) == {"young"}
    assert refused(generous, young) == set()


def test_a_refused_service_owns_nothing() -> None:
    both = candidate("both", 2, "evil", serviceDomain="a.org,c.org")
    third = candidate("third", 3, "other", serviceDomain="c.org")

    assert refused(OWNER, both, third) == {"both"}


def test_the_last_good_version_serves_and_owns() -> None:
    before = candidate("evil", 2, "evil", serviceDomain="c.org")
    wanted = {
        "owner": OWNER,
        "evil": candidate("evil", 2, "evil", serviceDomain="a.org"),
        "third": candidate("third", 3, "other", serviceDomain="c.org"),
    }
    serving, why = settled(HostOwners(), wanted, {"evil": before, "third": wanted["third"]})

    assert serving == {"owner": OWNER, "evil": before}
    assert "the host a.org belongs to shop" in why["evil"]
    assert "the host c.org belongs to evil" in why["third"]


def test_the_stack_of_a_service_is_saved_and_no_label_can_set_it(tmp_path: Path) -> None:
    parameters = {"serviceName": "web", "servicePath": "/", "port": "80", "stack": "other"}
    registry = Registry()
    registry.put(Entry(parse(parameters), Origin.SWARM, 1, parameters, "shop"))
    Store(tmp_path).save(registry.snapshot())
    restored = Registry()
    admission = Admission(restored, Rules(dict.fromkeys(Origin, Defaults()), Defaults()))
    Store(tmp_path).load(admission.admit_listed)
    (entry,) = restored.snapshot().entries.values()

    assert entry.stack == "shop"
    assert entry.candidate.owner == "stack shop"


def test_the_services_of_the_environment_have_one_owner() -> None:
    parameters = {"serviceName": "web", "servicePath": "/", "port": "80"}
    by_call, by_environment = (
        Entry(parse(parameters), origin, 1, parameters).candidate for origin in (Origin.API, Origin.ENVIRONMENT)
    )

    assert by_environment.owner == "the environment"
    assert by_call.owner == ""
    assert by_environment.is_beside(candidate("other", 1, "the environment"))
    assert not by_call.is_beside(candidate("other", 1))
