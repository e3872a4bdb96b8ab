from __future__ import annotations

from dataclasses import replace

import pytest
from configurations import applied, described
from hypothesis import given, settings
from hypothesis import strategies as st
from support import rounds

from flowproxy.haproxy.drift import state
from flowproxy.haproxy.plan import (
    AddEntry,
    AddServer,
    Cause,
    Nothing,
    Plan,
    Reload,
    RemoveEntry,
    RemoveServer,
    Running,
    Runtime,
    SetEntry,
    make_plan,
)
from flowproxy.haproxy.plan import (
    described as in_words,
)
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.servers import Server


def configuration(endpoints: dict[str, list[str]] | None = None, **paths: str) -> Configuration:
    return described(
        [{"serviceName": name, "servicePath": path} for name, path in paths.items()],
        endpoints,
    )


def plan(running: Configuration, wanted: Configuration) -> Plan:
    return make_plan(Running.fresh(running), wanted)


def test_what_runs_already_needs_nothing() -> None:
    assert plan(configuration(web="/"), configuration(web="/")) == Nothing()


def test_an_unknown_state_needs_a_reload() -> None:
    assert make_plan(None, configuration()) == Reload(Cause.UNKNOWN)


def test_a_spare_backend_is_used_for_a_new_service_without_options() -> None:
    made = plan(configuration(), configuration({"web": ["10.0.0.1"]}, web="/"))

    assert isinstance(made, Runtime)
    server, entry = made.changes
    assert isinstance(server, AddServer)
    assert server.backend == "spare:1"
    assert entry == AddEntry("any", "/", "spare:1")
    assert made.stand_ins == {"web-be80_0": "spare:1"}


def test_a_new_service_with_options_needs_a_reload_that_names_it() -> None:
    wanted = described([{"serviceName": "web", "servicePath": "/", "timeoutServer": "7"}])

    assert plan(configuration(), wanted) == Reload(Cause.BACKEND, "new web-be80_0")


def test_options_that_others_share_find_a_spare() -> None:
    first = [{"serviceName": "one", "servicePath": "/one", "httpsOnly": "true"}]
    made = plan(described(first), described([*first, {"serviceName": "two", "servicePath": "/2", "httpsOnly": "true"}]))

    assert isinstance(made, Runtime)
    (name,) = made.stand_ins.values()
    assert "redirect scheme https" in described(first).spares[name].text


def test_another_option_of_a_known_service_needs_a_reload() -> None:
    wanted = described([{"serviceName": "web", "servicePath": "/", "timeoutServer": "7"}])

    assert plan(configuration(web="/"), wanted) == Reload(Cause.BACKEND, "changed web-be80_0")


def test_a_service_that_goes_loses_its_entries_and_then_its_servers_without_a_reload() -> None:
    before = configuration({"web": ["10.0.0.1"]}, web="/", api="/api")
    made = plan(before, configuration(api="/api"))

    assert isinstance(made, Runtime)
    assert made.changes == (
        RemoveEntry("any", "/"),
        RemoveServer("web-be80_0", Server("10.0.0.1", "10.0.0.1", 80)),
    )
    assert Running.fresh(before).after(made, configuration(api="/api")).untidy


def test_a_condition_needs_a_reload() -> None:
    wanted = described([{"serviceName": "web", "servicePath": "/", "serviceHeader": "X-A:1"}])

    assert plan(configuration(), wanted) == Reload(Cause.HEAD, "the frontend's rules changed")


def test_no_spare_is_used_twice() -> None:
    running, names = Running.fresh(configuration()), set()
    for number in range(len(configuration().spares)):
        wanted = described([{"serviceName": "s", "servicePath": f"/{number}", "port": str(number + 1)}])
        made = make_plan(running, wanted)
        assert isinstance(made, Runtime)
        names |= set(made.stand_ins.values())
        running = running.after(made, wanted)

    assert names == configuration().spares.keys()
    assert isinstance(make_plan(running, configuration(last="/")), Reload)


def test_a_task_that_moves_needs_no_reload() -> None:
    made = plan(configuration({"web": ["10.0.0.1"]}, web="/"), configuration({"web": ["10.0.0.2"]}, web="/"))

    assert isinstance(made, Runtime)
    added, removed = made.changes
    assert isinstance(added, AddServer)
    assert added.server == Server("10.0.0.2", "10.0.0.2", 80)
    assert removed == RemoveServer("web-be80_0", Server("10.0.0.1", "10.0.0.1", 80))


@pytest.mark.parametrize(("before", "cautious"), [([], False), (["10.0.0.1"], True), (["10.0.0.3"], False)])
def test_a_server_waits_for_its_check_where_others_stay(before: list[str], cautious: bool) -> None:
    made = plan(configuration({"web": before}, web="/"), configuration({"web": ["10.0.0.1", "10.0.0.2"]}, web="/"))

    assert isinstance(made, Runtime)
    assert [c.cautious for c in made.changes if isinstance(c, AddServer) and c.server.name == "10.0.0.2"] == [cautious]


def test_another_path_of_a_known_service_needs_no_reload() -> None:
    made = plan(configuration(web="/a"), configuration(web="/a,/b"))

    assert made == Runtime((AddEntry("any", "/b", "web-be80_0"),), {}, {})


def test_very_many_changes_are_quicker_as_a_reload() -> None:
    many = {"web": [f"10.0.{n // 250}.{n % 250}" for n in range(600)]}

    assert isinstance(plan(configuration(web="/"), configuration(many, web="/")), Reload)


ADDRESSES = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), unique=True)
SERVICES = st.dictionaries(
    st.sampled_from(["web", "api", "shop"]),
    st.tuples(st.sampled_from(["/", "/a", "/b", "/a,/b"]), st.sampled_from(["", "true"]), ADDRESSES),
)


def of(services: dict[str, tuple[str, str, list[str]]]) -> Configuration:
    return described(
        [{"serviceName": n, "servicePath": path, "httpsOnly": only} for n, (path, only, _) in services.items()],
        {name: addresses for name, (_, _, addresses) in services.items()},
    )


@pytest.mark.longer
@settings(max_examples=rounds(80, soak=1500))
@given(st.lists(SERVICES, min_size=2, max_size=5))
def test_applying_the_plans_leads_to_what_is_wanted(story: list[dict[str, tuple[str, str, list[str]]]]) -> None:
    running = Running.fresh(of(story[0]))
    shown = state(running.configuration, {})
    for services in story[1:]:
        wanted = of(services)
        made = make_plan(running, wanted)
        running = running.after(made, wanted)
        if isinstance(made, Reload):
            shown = state(wanted, {})
        elif isinstance(made, Runtime):
            shown = applied(shown, made.changes)
        assert shown == state(wanted, running.stand_ins)
        assert {name: running.loaded[n].shape for name, n in running.stand_ins.items()} == {
            name: wanted.sections[name].shape for name in running.stand_ins
        }


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.sampled_from("xy"), st.integers(1, 3)), min_size=1))
def test_a_name_that_gets_another_address_is_made_free_first(servers: dict[str, tuple[str, int]]) -> None:
    base = configuration(web="/")
    first = {"web-be80_0": tuple(Server(name, "10.0.0.1", 80) for name in sorted("abcd"))}
    second = {"web-be80_0": tuple(Server(n, f"10.0.1.{i}", 80) for n, (_, i) in sorted(servers.items()))}
    running, wanted = replace(base, servers=first), replace(base, servers=second)

    made = plan(running, wanted)

    assert isinstance(made, Runtime)
    assert applied(state(running, {}), made.changes) == state(wanted, {})


def test_the_log_names_a_service_that_leaves_its_spare() -> None:
    came = plan(configuration(), with_server := configuration({"web": ["10.0.0.1"]}, web="/web"))
    assert isinstance(came, Runtime)
    running = Running.fresh(configuration()).after(came, with_server)

    gone = make_plan(running, configuration())

    assert in_words(gone) == "changed the route /web, web-be80_0"


def test_an_entry_whose_backend_changes_is_set() -> None:
    made = plan(configuration(a="/", b="/b"), described([{"serviceName": "b", "servicePath": "/,/b"}]))

    assert isinstance(made, Runtime)
    assert SetEntry("any", "/", "b-be80_0") in made.changes
