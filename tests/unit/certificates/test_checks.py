"""How often HAProxy is asked, and who is blamed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from certificates import make_certificate

from flowproxy.certificates.checks import CertificateChecks
from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.services.certificate import Certificate, read_certificate

SAID = "'bind *:443' in section 'frontend' : error processing line 1 : unable to load it 'certs/certificate-0'."


class Judge:
    """Stands for HAProxy; remembers how many certificates it was asked about."""

    def __init__(self, *bad: Certificate) -> None:
        self.bad = {certificate.pem for certificate in bad}
        self.asked: list[int] = []
        self.said = SAID
        self.failure: Exception | None = None

    async def check(self, certificates: Sequence[Certificate]) -> None:
        self.asked.append(len(certificates))
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        if any(certificate.pem in self.bad for certificate in certificates):
            raise Rejected(self.said)


def certificates(count: int) -> list[Certificate]:
    return [read_certificate(f"{number}.pem", make_certificate(f"{number}.org")[0]) for number in range(count)]


def test_many_good_ones_are_one_question_and_none_the_next_time() -> None:
    judge, many = Judge(), certificates(100)
    checks = CertificateChecks(judge.check)

    assert asyncio.run(checks.refusals(many)) == {}
    assert asyncio.run(checks.refusals(many)) == {}
    assert judge.asked == [100]


def test_the_bad_among_many_are_found_by_halving() -> None:
    many = certificates(64)
    judge = Judge(many[5], many[40])
    checks = CertificateChecks(judge.check)

    assert asyncio.run(checks.refusals(many)) == {
        many[5].pem: "HAProxy rejects it: unable to load it",
        many[40].pem: "HAProxy rejects it: unable to load it",
    }
    assert len(judge.asked) < 30
    before = len(judge.asked)
    assert len(asyncio.run(checks.refusals(many))) == 2
    assert len(judge.asked) == before


def test_those_that_come_at_the_same_time_are_asked_about_together() -> None:
    many = certificates(50)
    judge = Judge(many[7])
    checks = CertificateChecks(judge.check)

    async def each_alone() -> list[dict[str, str]]:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(checks.refusals([certificate])) for certificate in many]
        return [task.result() for task in asked]

    found = asyncio.run(each_alone())
    assert [bool(refusal) for refusal in found] == [number == 7 for number in range(50)]
    assert len(judge.asked) < 20


def test_none_is_blamed_for_what_is_wrong_with_any() -> None:
    judge, few = Judge(), certificates(3)
    judge.failure = Rejected("unable to load the file of CA_FILE")
    checks = CertificateChecks(judge.check)
    assert asyncio.run(checks.refusals(few)) == {}

    judge.failure, judge.bad = None, {few[1].pem}
    assert list(asyncio.run(checks.refusals(few))) == [few[1].pem]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("a : unable to load it 'certs/certificate-0'.", "unable to load it"),
        ("a : unable to load it 'certs/certificate-0': ee key too small.", "unable to load it: ee key too small"),
        ("a : no chain 'certs/certificate-0'. Make sure you are linking against Openssl >= 1.0.2.", "no chain"),
    ],
)
def test_the_reason_names_no_file_of_the_check(said: str, reason: str) -> None:
    (one,) = certificates(1)
    judge = Judge(one)
    judge.said = said

    refusals = asyncio.run(CertificateChecks(judge.check).refusals([one]))
    assert refusals == {one.pem: f"HAProxy rejects it: {reason}"}


def test_no_answer_is_no_verdict() -> None:
    judge, few = Judge(), certificates(2)
    judge.failure = ProxyUnavailable("no program")
    checks = CertificateChecks(judge.check)
    with pytest.raises(ProxyUnavailable):
        asyncio.run(checks.refusals(few))
    judge.failure = None

    assert asyncio.run(checks.refusals(few)) == {}
