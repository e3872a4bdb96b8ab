"""Values in a map: what plans do with them."""

from __future__ import annotations

from configurations import applied
from featured import configuration

from flowproxy.haproxy.commands import Command, commands
from flowproxy.haproxy.drift import Seen, find_drift, state
from flowproxy.haproxy.plan import (
    AddEntry,
    Nothing,
    RemoveEntry,
    Running,
    Runtime,
    SetEntry,
    described,
    make_plan,
)

ONE = {"serviceName": "one", "servicePath": "/one", "setReqHeader": "X-Tenant first", "timeoutServer": "7"}
TWO = {"serviceName": "two", "servicePath": "/two", "setReqHeader": "X-Tenant second", "timeoutServer": "8"}


def test_another_value_is_one_command() -> None:
    running = Running.fresh(configuration(ONE))
    plan = make_plan(running, configuration({**ONE, "setReqHeader": "X-Tenant other"}))

    assert isinstance(plan, Runtime)
    assert plan.changes == (SetEntry("values", "one-be80_0|setReqHeader.1", "other"),)
    assert described(plan) == "changed one-be80_0"


def test_services_with_the_same_features_share_a_spare() -> None:
    running = Running.fresh(configuration(ONE))
    wanted = configuration(ONE, TWO)
    plan = make_plan(running, wanted)

    assert isinstance(plan, Runtime)
    (spare,) = plan.stand_ins.values()
    values = [change for change in plan.changes if isinstance(change, AddEntry) and change.map == "values"]
    assert sorted(values) == [
        AddEntry("values", f"{spare}|setReqHeader.1", "second"),
        AddEntry("values", f"{spare}|timeoutServer", "8000"),
    ]
    route = plan.changes.index(AddEntry("any", "/two", spare))
    assert max(map(plan.changes.index, values)) < route
    assert applied(state(running.configuration, {}), plan.changes) == state(wanted, plan.stand_ins)


def test_values_leave_after_the_route() -> None:
    running = Running.fresh(configuration(ONE))
    with_two = configuration(ONE, TWO)
    grown = running.after(make_plan(running, with_two), with_two)
    plan = make_plan(grown, configuration(ONE))

    assert isinstance(plan, Runtime)
    removed = [change for change in plan.changes if isinstance(change, RemoveEntry)]
    assert [change.map for change in removed] == ["any", "values", "values"]
    assert applied(state(with_two, grown.stand_ins), plan.changes) == state(configuration(ONE), {})


def test_a_value_of_a_stand_in_is_changed_under_its_name() -> None:
    running = Running.fresh(configuration(ONE))
    with_two = configuration(ONE, TWO)
    grown = running.after(make_plan(running, with_two), with_two)
    plan = make_plan(grown, configuration(ONE, {**TWO, "timeoutServer": "9"}))

    assert isinstance(plan, Runtime)
    assert plan.changes == (SetEntry("values", f"{grown.stand_ins['two-be80_0']}|timeoutServer", "9000"),)
    assert described(plan) == "changed two-be80_0"
    assert make_plan(grown, with_two) == Nothing()


def test_a_value_that_somebody_else_changed_is_changed_back() -> None:
    running = Running.fresh(configuration(ONE))
    maps = {name: tuple(entries.items()) for name, entries in running.configuration.maps.items()}
    maps["values"] = (("one-be80_0|setReqHeader.1", "stranger"), ("other|slot", "1"))
    found = find_drift(running, Seen({}, maps), ())

    assert {drift.change for drift in found if drift.what == "map"} == {
        SetEntry("values", "one-be80_0|setReqHeader.1", "first"),
        AddEntry("values", "one-be80_0|timeoutServer", "7000"),
        RemoveEntry("values", "other|slot"),
    }


def test_no_value_is_shown_with_a_command_that_failed() -> None:
    change = SetEntry("values", "one-be80_0|setReqHeader.1", "Bearer%20abc;def")
    (command,) = commands([change, SetEntry("any", "/x", "one-be80_0")], set(), "")

    assert "abc" in command.text
    assert command.shown == (
        "set map maps/values.map one-be80_0\\|setReqHeader.1 (hidden);set map maps/any.map /x one-be80_0"
    )
    assert Command("show info\nsecret", frozenset()).shown == "show info"
