from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowproxy.model import Endpoint
from flowproxy.parameters import parse
from flowproxy.plan import AddEntry, AddServer, Nothing, Reload, RemoveServer, Runtime, applied, make_plan
from flowproxy.render import Configuration, Renderer, Server
from flowproxy.routing import Candidate, compile_routes
from flowproxy.settings import Settings

RENDERER = Renderer(Settings())


def configuration(endpoints: dict[str, list[str]] | None = None, **paths: str) -> Configuration:
    services = [parse({"serviceName": name, "servicePath": path, "port": "80"}) for name, path in paths.items()]
    placed = {host: tuple(Endpoint.of_address(a) for a in listed) for host, listed in (endpoints or {}).items()}
    return RENDERER.render(compile_routes(Candidate(service, 0) for service in services), placed)


def test_what_runs_already_needs_nothing() -> None:
    assert make_plan(configuration(web="/"), configuration(web="/")) == Nothing()


def test_an_unknown_state_needs_a_reload() -> None:
    assert isinstance(make_plan(None, configuration()), Reload)


def test_a_new_service_needs_a_reload_that_names_it() -> None:
    assert make_plan(configuration(), configuration(web="/")) == Reload("new backend web-be80_0")


def test_a_task_that_moves_needs_no_reload() -> None:
    plan = make_plan(configuration({"web": ["10.0.0.1"]}, web="/"), configuration({"web": ["10.0.0.2"]}, web="/"))

    assert isinstance(plan, Runtime)
    added, removed = plan.changes
    assert isinstance(added, AddServer)
    assert added.server == Server("10.0.0.2", "10.0.0.2", 80)
    assert removed == RemoveServer("web-be80_0", Server("10.0.0.1", "10.0.0.1", 80))


def test_another_path_of_a_known_service_needs_no_reload() -> None:
    assert make_plan(configuration(web="/a"), configuration(web="/a,/b")) == Runtime(
        (AddEntry("any", "/b", "web-be80_0"),)
    )


ADDRESSES = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), unique=True)
PATHS = st.lists(st.sampled_from(["/", "/a", "/b"]), min_size=1, unique=True).map(",".join)


@given(ADDRESSES, ADDRESSES, PATHS, PATHS)
def test_applying_the_plan_leads_to_what_is_wanted(here: list[str], there: list[str], before: str, after: str) -> None:
    running = configuration({"web": here, "api": there}, web=before, api="/api")
    wanted = configuration({"web": there, "api": here}, web=after, api="/api")

    plan = make_plan(running, wanted)

    changes = plan.changes if isinstance(plan, Runtime) else ()
    assert not isinstance(plan, Reload)
    assert applied(running, changes) == wanted


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.sampled_from("xy"), st.integers(1, 3)), min_size=1))
def test_a_name_that_gets_another_address_is_made_free_first(servers: dict[str, tuple[str, int]]) -> None:
    base = configuration(web="/")
    first = {"web-be80_0": tuple(Server(name, "10.0.0.1", 80) for name in sorted("abcd"))}
    second = {"web-be80_0": tuple(Server(n, f"10.0.1.{i}", 80) for n, (_, i) in sorted(servers.items()))}
    running, wanted = base.model_copy(update={"servers": first}), base.model_copy(update={"servers": second})

    plan = make_plan(running, wanted)

    assert isinstance(plan, Runtime)
    assert applied(running, plan.changes) == wanted
