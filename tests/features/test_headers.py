"""Headers that requests and responses get or lose."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import deprecated, parse


def test_headers_are_added_set_and_deleted() -> None:
    given = {
        "addReqHeader": "X-Path %[path]",
        "setReqHeader": "X-A 1 if { path /a }",
        "addResHeader": "X-B %[src]",
        "setResHeader": "X-C %[src]",
        "delReqHeader": "X-D",
        "delResHeader": "X-E",
    }

    assert lines(given) == [
        "http-request add-header X-Path %[path]",
        "http-request set-header X-A 1 if { path /a }",
        "http-response add-header X-B %[src]",
        "http-response set-header X-C %[src]",
        "http-request del-header X-D",
        "http-response del-header X-E",
    ]


def test_old_names_are_translated() -> None:
    given = {**PLAIN, "addHeader": "X-A 1", "setHeader": "X-B 1", "setReqHeader": "X-C 1"}
    service = parse(given)

    assert (service.add_req_header, service.set_req_header) == (("X-A 1",), ("X-C 1",))
    assert deprecated(given) == {"addHeader": "addReqHeader", "setHeader": "setReqHeader"}


@pytest.mark.parametrize("value", ["X-A", "X-A 1\nX-B 2", "Content-Length 5", "Transfer-Encoding chunked"])
def test_what_is_no_header_or_frames_messages_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="addReqHeader"):
        parse({**PLAIN, "addReqHeader": value})
