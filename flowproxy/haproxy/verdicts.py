"""HAProxy's complaints about a configuration, and the services that they concern."""

from __future__ import annotations

import re

from flowproxy.errors import Rejected
from flowproxy.rendering.parts import Text
from flowproxy.text.lines import reads_files
from flowproxy.text.secrets import without_secrets_of

_FINDING = re.compile(r"\[ALERT\]\s+\(\d+\) : (?P<text>.*)")
_PLACE = re.compile(r"\[[^\]]*haproxy\.cfg:(?P<line>\d+)\]")
_SUMMARIES = ("Error(s) found", "Fatal errors found")
_UNREPEATED = "HAProxy rejects a line that reads a file; its message is hidden, because it may quote the file"
_MOST = 10


def verdict(said: str, configuration: Text) -> Rejected:
    """Return HAProxy's complaints about haproxy.cfg in one line, with the services whose lines it complains about."""
    findings, services, lines = [], set(), []
    given = configuration.text.split("\n")
    for found in _FINDING.finditer(said):
        text = found["text"].removeprefix("config : ")
        if text.startswith(_SUMMARIES):
            continue
        place = _PLACE.search(text)
        if place:
            number = int(place["line"])
            line = given[number - 1] if number <= len(given) else ""
            service = configuration.service_at(number)
            services.add(service)
            lines.append(line)
            where = f"service {service}" if service else f"line {number}"
            # Lines of the operator's may quote what is the operator's.
            if reads_files(line) and (service or not configuration.knows_services):
                text = f"{where}: {_UNREPEATED}"
            else:
                text = without_secrets_of(line, text).replace(place[0], where).removeprefix("parsing ")
        findings += [text] if text not in findings else []
    message = "; ".join(findings[:_MOST]) or said.strip()[-500:] or "no reason given"
    return Rejected(message, services - {""}, lines)
