"""A certificate that a service brings along."""

from __future__ import annotations

import pytest
from certificates import make_certificate
from featured import PLAIN

from flowproxy.errors import InvalidService
from flowproxy.services.parse import certificate_of, parse


def test_its_line_ends_may_be_written_as_two_characters() -> None:
    pem = make_certificate("web.org")[0]
    service = parse({**PLAIN, "serviceDomain": "web.org", "serviceCert": pem.replace("\n", "\\n")})
    found = certificate_of(service)

    assert found
    assert found.name == "web.org"
    assert "PRIVATE" not in repr(service)


@pytest.mark.parametrize("value", ["x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="serviceCert"):
        parse({**PLAIN, "serviceCert": value})
