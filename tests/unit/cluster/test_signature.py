"""Calls that replicas sign."""

from __future__ import annotations

import pytest

from flowproxy.cluster.signature import Call, sign, verify
from flowproxy.errors import NotSigned

KEY = b"a key of the replicas"
CALL = Call.of("PUT", "/v1/cert", [("certName", "a.pem"), ("wait", "false")], "1700000000.5", b"PEM")
NOW = 1_700_000_000.9


def test_what_is_signed_is_accepted_for_a_minute() -> None:
    signature = sign(KEY, CALL, NOW)
    for later in (-59.0, 0.0, 59.0):
        verify(KEY, CALL, signature, NOW + later)
    for later in (-62.0, 62.0, 1e9):
        with pytest.raises(NotSigned, match="clocks"):
            verify(KEY, CALL, signature, NOW + later)


def test_the_order_of_the_query_does_not_matter() -> None:
    other = Call.of("put", "/v1/cert", [("wait", "false"), ("certName", "a.pem")], "1700000000.5", b"PEM")
    verify(KEY, other, sign(KEY, CALL, NOW), NOW)


@pytest.mark.parametrize(
    "other",
    [
        CALL._replace(method="POST"),
        CALL._replace(path="/v1/certs/send"),
        CALL._replace(query=(("certName", "b.pem"), ("wait", "false"))),
        CALL._replace(query=(*CALL.query, ("wait", "false"))),
        CALL._replace(query=(("certName", "a.pem&wait=false"),)),
        CALL._replace(created="1"),
        CALL._replace(created=""),
        CALL._replace(body=b"PEM\n"),
    ],
)
def test_nothing_of_the_call_can_be_changed(other: Call) -> None:
    with pytest.raises(NotSigned, match="does not match"):
        verify(KEY, other, sign(KEY, CALL, NOW), NOW)


def test_other_signatures_are_refused() -> None:
    good = sign(KEY, CALL, NOW)
    digest = good.partition(" ")[2]
    wrong = ["", " ", digest, f"1700000001 {digest}", good[:-1], f"{good}\udcff", f"nan {digest}"]
    for signature in (*wrong, sign(b"another key", CALL, NOW)):
        with pytest.raises(NotSigned):
            verify(KEY, CALL, signature, NOW)
