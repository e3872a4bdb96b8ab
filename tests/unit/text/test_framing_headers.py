"""No service writes or deletes a header that HAProxy frames messages by."""

from __future__ import annotations

import pytest

from flowproxy.errors import InvalidService
from flowproxy.features import Defaults
from flowproxy.services.parse import parse
from flowproxy.text.framing_headers import FRAMING
from flowproxy.text.lines import Level
from flowproxy.text.safe_lines import check_lines

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
WRITING = ("addReqHeader", "setReqHeader", "addResHeader", "setResHeader", "addHeader", "setHeader")


@pytest.mark.parametrize("level", ["none", "safe", "all"])
@pytest.mark.parametrize("name", [*FRAMING, "transfer-encoding", "CONTENT-LENGTH"])
def test_no_parameter_writes_or_deletes_a_framing_header(name: str, level: Level) -> None:
    for parameter in WRITING:
        with pytest.raises(InvalidService, match="HAProxy frames messages by"):
            parse(WEB | {parameter: f"X-Plain 1,{name}  chunked"}, Defaults(raw=level))
    for parameter in ("delReqHeader", "delResHeader"):
        with pytest.raises(InvalidService, match="HAProxy frames messages by"):
            parse(WEB | {parameter: name}, Defaults(raw=level))


@pytest.mark.parametrize(
    "line",
    [
        "http-request add-header Content-Length 5",
        "http-request set-header 'Transfer-Encoding' chunked",
        "http-request replace-header connection .* close",
        "http-response replace-value TE .* trailers",
        "http-response del-header Content-Length if { status 200 }",
        "http-after-response set-header Content\\-Length 0",
        "http-after-response del-header Trailer",
        "http-request return status 200 hdr Content-Length 5",
        "http-response return status 200 content-type text/plain string a hdr Transfer-Encoding chunked",
        "http-request deny hdr Upgrade x",
        "option forwardfor header Content-Length",
        "http-request del-header conn -m beg",
        "http-request del-header -Length -m end",
        "http-request del-header ontent -m sub",
        "http-request del-header ^Con -m reg",
        "http-request del-header . -m reg",
        "http-request del-header ^(x -m reg",
    ],
)
def test_no_line_that_safe_allows_writes_or_deletes_one(line: str) -> None:
    with pytest.raises(ValueError, match=r"HAProxy frames messages by|is not|needs"):
        check_lines(line)


def test_other_headers_are_written_and_deleted() -> None:
    parse(WEB | {"addReqHeader": "X-Connection 1", "delResHeader": "Content-Length-Of"}, Defaults(raw="none"))
    check_lines("http-request del-header X- -m beg\nhttp-request del-header ^X-Up -m reg")
    check_lines("http-response set-status 204\noption forwardfor header X-Client except 10.0.0.0/8")
