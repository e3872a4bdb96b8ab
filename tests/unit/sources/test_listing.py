from __future__ import annotations

import errno
from ipaddress import ip_interface, ip_network
from typing import Any

import pytest

from flowproxy.sources.own_networks import own_networks
from flowproxy.sources.swarm.listing import (
    SwarmService,
    Task,
    as_service,
    as_task,
    names_of,
    parameters_of,
    public_name,
    serving,
    shared,
    unreachable_nodes,
)


def raw_service(mode: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {
        "ID": "s1",
        "CreatedAt": "2026-01-02T03:04:05.123456789Z",
        "Spec": {"Name": "stack_web", "Labels": {k.replace("__", "."): v for k, v in labels.items()}, "Mode": mode},
        "ServiceStatus": {"RunningTasks": 1, "DesiredTasks": 3},
    }


def raw_task(state: str = "running", desired: str = "running") -> dict[str, Any]:
    networks = [
        {"Network": {"Spec": {"Name": "ingress", "Ingress": True}}, "Addresses": ["10.0.0.5/24"]},
        {"Network": {"Spec": {"Name": "proxy"}}, "Addresses": ["10.0.1.7/24"]},
    ]
    return {
        "ID": "t1",
        "ServiceID": "s1",
        "Slot": 2,
        "Status": {"State": state},
        "DesiredState": desired,
        "NetworksAttachments": networks,
    }


def test_labels_with_the_prefix_are_parameters_and_the_service_says_its_name_and_replicas() -> None:
    labels = {"com__df__notify": "true", "com__df__servicePath__1": "/a", "com__df__serviceName": "lie", "other": "x"}
    service = as_service(raw_service({"Replicated": {"Replicas": 2}}, **labels))

    assert parameters_of(service, "web", "com.df.") == {"serviceName": "web", "replicas": "2", "servicePath.1": "/a"}


def test_a_global_service_has_as_many_replicas_as_the_swarm_wants_tasks() -> None:
    assert as_service(raw_service({"Global": {}})).replicas == 3


def test_a_job_is_distinguished() -> None:
    assert as_service(raw_service({"ReplicatedJob": {}})).is_job


def test_the_stack_leaves_the_name_only_where_the_label_asks() -> None:
    stack = {"com__docker__stack__namespace": "stack"}

    assert public_name(as_service(raw_service({}, **stack)), "com.df.") == "stack_web"
    assert public_name(as_service(raw_service({}, **stack, com__df__shortName="true")), "com.df.") == "web"


@pytest.mark.parametrize("backwards", [False, True])
def test_nobody_takes_a_name_by_a_short_name(backwards: bool) -> None:
    def service(name: str, created: float, short: str = "") -> SwarmService:
        labels = {"com.docker.stack.namespace": short, "com.df.shortName": "true"} if short else {}
        return SwarmService(name, name, labels, created, 1, is_global=False, is_job=False, updating=False)

    services = [
        service("b_web", 1, "b"),
        service("a_web", 2, "a"),
        service("api", 9),
        service("c_api", 3, "c"),
        service("d_other", 4, "d"),
    ]

    assert names_of(services[::-1] if backwards else services, "com.df.") == {
        "b_web": "web",
        "a_web": "a_web",
        "api": "api",
        "c_api": "c_api",
        "d_other": "other",
    }


def test_the_age_is_read_to_the_fraction() -> None:
    assert as_service(raw_service({})).created == 1767323045.123456789


def test_a_task_is_named_as_its_container_and_reached_on_a_shared_network_but_never_on_ingress() -> None:
    task = as_task(raw_task(), "web")
    endpoint = shared(task, frozenset({ip_network("10.0.1.0/24"), ip_network("10.0.0.0/24")}))

    assert endpoint == ("web.2.t1", "10.0.1.7")
    assert shared(task, frozenset({ip_network("10.0.0.0/24")})) is None


def test_only_a_task_that_runs_and_shall_run_serves() -> None:
    assert as_task(raw_task(), "web").serving
    assert not as_task(raw_task(desired="shutdown"), "web").serving
    assert not as_task(raw_task(state="starting"), "web").serving


def test_a_task_on_its_way_up_or_down_is_changing() -> None:
    assert as_task(raw_task(state="starting"), "web").changing
    assert as_task(raw_task(desired="shutdown"), "web").changing
    assert not as_task(raw_task(), "web").changing
    assert not as_task(raw_task(state="shutdown", desired="shutdown"), "web").changing


def test_this_machine_is_on_the_network_of_its_loopback() -> None:
    task = Task("web.1.t", "s", "running", "running", (ip_interface("127.0.0.5/8"),))

    assert shared(task, own_networks()) == ("web.1.t", "127.0.0.5")


def test_without_a_file_descriptor_the_networks_are_those_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    known = own_networks()

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("psutil.net_if_addrs", refuse)
    assert known
    assert own_networks() == known


@pytest.mark.parametrize("spelling", ["serviceName", "servicename", "SERVICENAME", "ServiceName", "SeRvIcEnAmE"])
def test_the_name_comes_from_no_label_in_any_spelling(spelling: str) -> None:
    labels = {f"com__df__{spelling}": "victim", "com__df__servicePath": "/", "com__df__Replicas": "9"}
    service = as_service(raw_service({"Replicated": {"Replicas": 2}}, **labels))

    assert parameters_of(service, "web", "com.df.") == {"serviceName": "web", "replicas": "2", "servicePath": "/"}


def test_the_stack_is_that_of_dockers_label_alone() -> None:
    labels = {"com__docker__stack__namespace": "shop", "com__df__com__docker__stack__namespace": "other"}

    assert as_service(raw_service({}, **labels)).stack == "shop"
    assert as_service(raw_service({})).stack == ""


def task_on(node: str, state: str = "running") -> Task:
    return as_task({**raw_task(state), "ID": f"on-{node}", "NodeID": node}, "web")


def test_tasks_on_nodes_out_of_contact_get_no_requests() -> None:
    states = {"n1": "ready", "n2": "down", "n3": "disconnected", "n4": "unknown"}
    listed = [{"ID": node, "Status": {"State": state}} for node, state in states.items()]
    tasks = [task_on(node) for node in states]

    assert [task.node_id for task in serving(tasks, unreachable_nodes(listed))] == ["n1", "n4"]


@pytest.mark.parametrize(("reachability", "expected"), [("reachable", set()), ("unreachable", {"n1"}), ("", set())])
def test_a_manager_that_the_others_miss_is_out_of_contact_before_it_is_down(
    reachability: str, expected: set[str]
) -> None:
    listed = [{"ID": "n1", "Status": {"State": "ready"}, "ManagerStatus": {"Reachability": reachability}}]

    assert unreachable_nodes(listed) == expected


def test_tasks_on_nodes_out_of_contact_are_better_than_none() -> None:
    tasks = [task_on("n1", "failed"), task_on("n2")]

    assert serving(tasks, frozenset({"n2"})) == [tasks[1]]


def test_a_node_without_a_state_is_in_contact() -> None:
    assert unreachable_nodes([{"ID": "n1"}]) == frozenset()
