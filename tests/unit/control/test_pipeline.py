"""The pipeline is a function of values."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from configurations import RENDERER, renderer

from flowproxy.control.pipeline import Memory, Pipeline, Wanted
from flowproxy.errors import Rejected
from flowproxy.haproxy.plan import Cause, Nothing, Reload, Running, Runtime
from flowproxy.rendering.materials import TemplateTexts, Unreadable
from flowproxy.services.model import Endpoint
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin
from flowproxy.settings.model import Settings


def entry(name: str, **parameters: str) -> Entry:
    given = {"serviceName": name, "servicePath": f"/{name}", "port": "80", **parameters}
    return Entry(parse(given), Origin.API, 0.0, given)


def wanted(*entries: Entry, addresses: tuple[str, ...] = (), templates: TemplateTexts | None = None) -> Wanted:
    endpoints = {e.service.service_name: tuple(map(Endpoint.of_address, addresses)) for e in entries}
    return Wanted({e.service.service_name: e for e in entries}, endpoints, {}, templates or {})


def test_the_plan_follows_from_what_runs() -> None:
    pipeline = Pipeline(RENDERER)
    one, two = (wanted(entry("a"), addresses=addresses) for addresses in (("10.0.0.1",), ("10.0.0.2",)))
    first = pipeline.plan(one)
    running = Running.fresh(first.configuration)

    assert first.plan == Reload(Cause.UNKNOWN)
    assert pipeline.plan(one, running).plan == Nothing()
    assert isinstance(pipeline.plan(two, running).plan, Runtime)


def test_what_is_remembered_changes_no_result() -> None:
    pipeline, memory = Pipeline(RENDERER), Memory()
    a, b, c = entry("a"), entry("b", timeoutServer="7"), entry("c", serviceHeader="X-A:1")
    for present in ((a, b), (a, b, c), (b, entry("a", port="81")), (c,), ()):
        addresses = ("10.0.0.1", "10.0.0.2")[: len(present)]
        alone = pipeline.plan(wanted(*present, addresses=addresses)).configuration
        assert pipeline.plan(wanted(*present, addresses=addresses), None, memory).configuration.files() == alone.files()


def test_a_service_that_has_not_changed_is_the_same_object() -> None:
    pipeline, memory = Pipeline(RENDERER), Memory()
    a = entry("a")
    first = pipeline.plan(wanted(a), None, memory).configuration
    second = pipeline.plan(wanted(a, entry("b")), None, memory).configuration

    assert second.sections["a-be80_0"] is first.sections["a-be80_0"]


def test_templates_of_services_are_given_as_texts() -> None:
    bringing = entry("a", templateFePath="/fe", templateBePath="/be")
    backend = "backend {{ service.service_name }}-own\n    server x 127.0.0.1:{{ parameters.port }}"
    texts: TemplateTexts = {"/fe": "use_backend a-own if { path /a }", "/be": backend}
    made = Pipeline(RENDERER).plan(wanted(bringing, templates=texts)).configuration

    assert "    use_backend a-own if { path /a }\n" in made.text()
    assert "backend a-own\n    server x 127.0.0.1:80\n" in made.text()
    unusable: list[TemplateTexts] = [{"/fe": Unreadable("it was eaten"), "/be": backend}, {"/be": backend}]
    for texts in unusable:
        with pytest.raises(Rejected, match=r"templateFePath: /fe: it was (eaten|not read)") as refused:
            Pipeline(RENDERER).plan(wanted(bringing, templates=texts))
        assert refused.value.services == {"a"}


def test_a_mistake_in_a_template_of_the_operators_is_the_cause(tmp_path: Path) -> None:
    (tmp_path / "backend.cfg.j2").write_text(
        "{{ 1 // 0 if backend.service.service_name == 'boom' else 'backend ' ~ backend.name }}"
    )
    pipeline = Pipeline(renderer(Settings(templates=tmp_path)))

    with pytest.raises(Rejected, match="it cannot be rendered: ZeroDivisionError") as refused:
        pipeline.plan(wanted(entry("boom")))
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    assert "backend a-be80_0" in pipeline.plan(wanted(entry("a"))).configuration.text()


def test_nothing_is_read_while_it_plans() -> None:
    pipeline, given = Pipeline(RENDERER), wanted(entry("a"), entry("b", serviceHeader="X-A:1"), addresses=("10.0.0.1",))
    pipeline.plan(given)  # what Python itself loads when it is first used
    watching, opened = True, []

    def hook(event: str, _: object) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir", "socket.__new__", "subprocess.Popen"):
            opened.append(event)

    sys.addaudithook(hook)
    pipeline.plan(given)
    watching = False

    assert opened == []
