"""Plain connections: groups of services on one port, and the patience with clients."""

from __future__ import annotations

import pytest
from featured import PLAIN, configuration, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse

TCP = {"reqMode": "tcp", "srcPort": "9000"}


def test_a_group_may_be_balanced_otherwise() -> None:
    assert lines({**TCP, "serviceGroup": "databases", "balanceGroup": "hdr(x y)"}) == ["balance 'hdr(x' 'y)'"]


def test_the_port_has_the_patience_and_the_keep_alive_of_its_service() -> None:
    head = configuration({**TCP, "timeoutClient": "600", "clitcpka": "true"}).head

    assert "timeout client 600s" in head
    assert "option clitcpka" in head


@pytest.mark.parametrize(("name", "value"), [("serviceGroup", "a b"), ("balanceGroup", "x\ny"), ("timeoutClient", "x")])
def test_other_values_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidService, match=name):
        parse({**PLAIN, **TCP, name: value})


def test_the_token_of_a_group_is_not_shown() -> None:
    assert "swordfish" not in repr(parse({**PLAIN, **TCP, "serviceGroup": "a", "groupToken": "swordfish"}))
