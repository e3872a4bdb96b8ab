"""The story of a user's first hour, on a real Swarm: each test goes on where the one before it ended.

The services here use the endpoint mode dnsrr, as virtual IPs need IPVS in the kernel, which a test machine
may lack. Flowproxy balances over the tasks' own addresses, so the mode makes no difference to it.
"""

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import eventually
from swarm.client import Clients, answers, get, require_free
from swarm.testbed import Swarm

API = "http://127.0.0.1:8080/v1/docker-flow-proxy"
SITE = "http://127.0.0.1"
OUR_ERROR_PAGE = "Nothing answers at this address"
LABELS = {"com.df.notify": "true", "com.df.servicePath": "/demo", "com.df.port": "8080"}


@pytest.fixture(scope="module")
def story(clear_swarm: Swarm, flowproxy_image: str, origin_image: str) -> Swarm:
    require_free(80, 443, 8080)
    swarm = clear_swarm
    for name in ("proxy", "go-demo"):
        swarm.docker("network", "create", "--driver", "overlay", "--attachable", name)
    create(swarm, "go-demo-db", origin_image, "--network go-demo --endpoint-mode dnsrr")
    create(swarm, "go-demo", origin_image, "--network go-demo --network proxy --endpoint-mode dnsrr")
    ports = " ".join(f"--publish mode=host,published={port},target={port}" for port in (80, 443, 8080))
    socket = f"--mount type=bind,source={swarm.socket},target=/var/run/docker.sock,readonly"
    create(swarm, "proxy", flowproxy_image, f"--network proxy --user root {ports} {socket}")
    for service in ("go-demo-db", "go-demo", "proxy"):
        swarm.containers(service)
    eventually(answers(f"{API}/ping"), within=30)
    return swarm


def create(swarm: Swarm, name: str, image: str, options: str) -> None:
    swarm.docker("service", "create", "--detach", "--no-resolve-image", "--name", name, *options.split(), image)


def update(swarm: Swarm, service: str, **changes: Any) -> float:
    """Changes a service without waiting for what follows, and says when that was asked for."""
    found = swarm.api.inspect_service(service)
    spec = found["Spec"]
    whole: dict[str, Any] = {
        "task_template": spec["TaskTemplate"],
        "name": spec["Name"],
        "labels": spec["Labels"],
        "mode": spec["Mode"],
        "endpoint_spec": spec["EndpointSpec"],
        **changes,
    }
    began = time.monotonic()
    swarm.api.update_service(found["ID"], found["Version"]["Index"], **whole)
    return began


def relabelled(path: str) -> dict[str, str]:
    return {**LABELS, "com.df.servicePath": path}


def scale(swarm: Swarm, service: str, replicas: int) -> float:
    return update(swarm, service, mode={"Replicated": {"Replicas": replicas}})


def milliseconds_until(status: int, path: str, began: float) -> float:
    """Asks without a pause until the status is this one; only routed and not routed may come before."""
    seen: Counter[int] = Counter()
    while time.monotonic() < began + 20:
        answer = get(SITE + path)
        seen[answer.status] += 1
        if answer.status == status:
            assert set(seen) <= {200, 503}, seen
            assert status == 200 or OUR_ERROR_PAGE in answer.text, answer
            return (time.monotonic() - began) * 1000
    raise AssertionError(f"{path}: no {status} within 20 s: {dict(seen)}")


def test_a_service_nobody_asked_for_is_not_answered(story: Swarm) -> None:
    assert get(f"{SITE}/demo/hello").status == 503


def test_reconfigure_makes_a_service_answer_before_it_returns(story: Swarm) -> None:
    answer = get(f"{API}/reconfigure?serviceName=go-demo&servicePath=/demo&port=8080", within=20)

    assert answer.status == 200, answer
    assert json.loads(answer.text)["Status"] == "OK"
    assert get(f"{SITE}/demo/hello").text.startswith("hello from ")


def test_the_configuration_has_a_backend_of_that_service(story: Swarm) -> None:
    [container] = story.containers("proxy")
    text = story.docker("exec", container, "cat", "/cfg/haproxy.cfg")

    assert any(line.startswith("backend") and "go-demo" in line for line in text.splitlines()), text


def test_five_tasks_share_the_requests_about_equally(story: Swarm) -> None:
    story.docker("service", "scale", "--detach", "go-demo=5")
    story.containers("go-demo", count=5)

    def share() -> Counter[str]:
        counted = Counter(get(f"{SITE}/demo/hello").text for _ in range(200))
        assert len(counted) == 5, counted
        assert all(20 <= count <= 60 for count in counted.values()), counted
        return counted

    eventually(share, within=20)


def test_remove_makes_the_service_unknown_again(story: Swarm) -> None:
    answer = get(f"{API}/remove?serviceName=go-demo", within=20)

    assert answer.status == 200, answer
    assert get(f"{SITE}/demo/hello").status == 503


def test_labels_alone_make_a_service_answer(story: Swarm, capsys: pytest.CaptureFixture[str]) -> None:
    took = milliseconds_until(200, "/demo/hello", update(story, "go-demo", labels=LABELS))
    with capsys.disabled():
        print(f"\nlabel to first routed answer: {took:.0f} ms")  # noqa: T201 - the figure is for people

    assert took < 5000


def test_a_changed_path_label_moves_the_route(story: Swarm) -> None:
    update(story, "go-demo", labels=relabelled("/shop"))

    eventually(answers(f"{SITE}/shop/hello"))
    eventually(answers(f"{SITE}/demo/hello", status=503), within=1)


def test_a_service_scaled_to_none_is_answered_by_our_error_page_within_a_second(story: Swarm) -> None:
    took = milliseconds_until(503, "/shop/hello", scale(story, "go-demo", 0))

    assert took < 1000


def test_a_service_scaled_up_again_answers_again(story: Swarm) -> None:
    scale(story, "go-demo", 2)

    eventually(answers(f"{SITE}/shop/hello"), within=30)


def test_a_rolling_update_loses_no_request(story: Swarm) -> None:
    before = set(story.containers("go-demo", count=2))

    def replaced() -> bool:
        assert not before & set(story.containers("go-demo", count=2)), story.why("go-demo")
        return True

    with Clients(f"{SITE}/shop/hello") as clients:
        eventually(lambda: clients.answered > 20)
        story.docker("service", "update", "--detach", "--force", "go-demo")
        eventually(replaced, within=60)
        last = clients.answered
        eventually(lambda: clients.answered > last + 200)

    assert not clients.failures, (clients.answered, Counter(clients.failures))


def test_the_log_has_one_structured_line_for_each_decision(story: Swarm) -> None:
    [container] = story.containers("proxy")
    lines = [json.loads(line) for line in story.logs(container).splitlines() if line.startswith("{")]
    decisions = [line for line in lines if line["event"] in ("reloaded", "updated without reload")]
    generations = [line["generation"] for line in decisions]

    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    assert any("go-demo" in line.get("reason", "") for line in decisions), decisions
    assert generations == sorted(set(generations)), generations


def test_a_killed_controller_loses_no_request_and_the_next_one_goes_on_watching(story: Swarm) -> None:
    [container] = story.containers("proxy")
    rows = story.api.top(container, ps_args="-ww -eo pid,args")["Processes"]
    [controller] = [int(number) for number, command in rows if "flowproxy serve" in command]
    with Clients(f"{SITE}/shop/hello") as clients:
        eventually(lambda: clients.answered > 20)
        os.kill(controller, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{controller}").exists())
        eventually(answers(f"{API}/ping"), within=20)
        last = clients.answered
        eventually(lambda: clients.answered > last + 500)
    took = milliseconds_until(200, "/again/hello", update(story, "go-demo", labels=relabelled("/again,/shop")))

    assert not clients.failures, (clients.answered, Counter(clients.failures))
    assert took < 5000


def test_a_removed_service_is_answered_by_our_error_page_within_a_second(story: Swarm) -> None:
    eventually(answers(f"{SITE}/shop/hello"), within=30)
    began = time.monotonic()
    story.api.remove_service("go-demo")

    assert milliseconds_until(503, "/shop/hello", began) < 1000
