from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from flowproxy.settings.values import HostNames, Items, Networks, RawConfig


def test_items_are_separated_by_commas_and_stripped() -> None:
    assert TypeAdapter(Items).validate_python(" a, b ,,c") == ("a", "b", "c")


@pytest.mark.parametrize("text", ["http://proxy.example.org", "proxy:8080", "a b"])
def test_a_host_name_has_neither_scheme_nor_port(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a host name"):
        TypeAdapter(HostNames).validate_python(text)


def test_networks_may_be_none_at_all() -> None:
    networks = TypeAdapter(Networks)

    assert networks.validate_python("None") == ()
    assert networks.validate_python("10.0.0.0/8, ::1") == ("10.0.0.0/8", "::1/128")
    with pytest.raises(ValidationError, match=r"'10.0.0.1/8' is not a network"):
        networks.validate_python("10.0.0.1/8")


def test_trusted_is_a_former_name_of_the_default() -> None:
    assert TypeAdapter(RawConfig).validate_python("trusted") is None
