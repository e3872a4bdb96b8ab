from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_cases import CANDIDATES, REQUESTS, candidate, described_candidates, look_up
from support import rounds

from flowproxy.routing.compile import Compiler, compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000))
@given(CANDIDATES, st.lists(REQUESTS, min_size=1, max_size=8), st.randoms())
def test_the_compiled_table_says_what_the_meaning_says(
    described: list[dict[str, str]], requests: list[Request], random: Random
) -> None:
    candidates = described_candidates(described)
    table = compile_routes(candidates)
    random.shuffle(candidates)

    assert compile_routes(candidates) == table
    for request in requests:
        chosen = match(table.routes, request)
        assert look_up(table, request) == (chosen.backend if chosen else None)


def test_an_unchanged_service_is_compiled_once() -> None:
    compiler = Compiler()
    kept, changed = candidate("kept", servicePath="/a"), candidate("changed", servicePath="/b")
    first = compiler.compile([kept, changed])
    second = compiler.compile([candidate("changed", servicePath="/c"), kept])

    assert second.parts["kept"] is first.parts["kept"]
    assert second == compile_routes([kept, candidate("changed", servicePath="/c")])
    assert compiler.compile([]) == compile_routes([])


def test_patterns_of_all_services_of_a_host_have_one_budget_that_the_oldest_use_first() -> None:
    costly = ",".join(f"^/.*a.*[b{number}]" for number in range(2))
    pattern = {"serviceDomain": "a.org", "servicePath": costly, "pathType": "path_reg"}
    table = compile_routes([candidate(f"s{number}", number, **pattern) for number in range(5)])

    losers = {conflict.loser for conflict in table.conflicts}
    assert {conflict.winner for conflict in table.conflicts} == {"s0"}
    assert losers
    assert losers == {f"s{number}" for number in range(5 - len(losers), 5)}
