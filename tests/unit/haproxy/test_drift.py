from __future__ import annotations

from certificates import make_certificate
from configurations import described

from flowproxy.haproxy.commands import ServerState, fingerprints, list_entries, map_entries, server_states
from flowproxy.haproxy.drift import Drift, Seen, What, find_drift
from flowproxy.haproxy.plan import (
    AddCertificate,
    AddEntry,
    AddServer,
    RemoveEntry,
    RemoveServer,
    RestoreServer,
    Running,
    SetCertificate,
    SetEntry,
)
from flowproxy.rendering.servers import Server
from flowproxy.services.certificate import read_certificate

BACKEND = "web-be80_0"
WEB = {"serviceName": "web", "servicePath": "/web"}
SERVER = Server("10.0.0.1", "10.0.0.1", 80)
AS_MADE = {"address": "10.0.0.1", "admin": "0", "weight": "1", "checks": "6", "port": "80"}


def running(**parameters: str) -> Running:
    return Running.fresh(described([WEB | parameters], {"web": ["10.0.0.1"]}))


def line(backend: str = BACKEND, name: str = SERVER.name, **other: str) -> str:
    f = AS_MADE | other
    return (
        f"4 {backend} 1 {name} {f['address']} 2 {f['admin']} {f['weight']} 1 1 6 3 4 {f['checks']} 0 0 0 - {f['port']}"
        " - 0 0 - - 0"
    )


def drift(lines: list[str], entries: str = f"0x1 /web {BACKEND}", running: Running | None = None) -> list[Drift]:
    servers: dict[str, dict[str, ServerState]] = {}
    for server in server_states("1\n# be_id\n" + "\n".join(lines)):
        servers.setdefault(server.backend, {})[server.name] = server
    found = map_entries(entries)
    return find_drift(running or RUNNING, Seen(servers, {} if found is None else {"any": found}), set())


RUNNING = running()


def test_what_is_as_it_was_made_is_no_drift() -> None:
    assert drift([line()]) == []


def test_whether_a_server_is_up_is_for_its_checks_to_say() -> None:
    assert drift([line().replace(" 2 0 1 1 ", " 0 0 1 1 ")]) == []


def test_a_server_that_somebody_changed() -> None:
    for changed in (
        {"admin": "1"},
        {"admin": "8"},
        {"weight": "0"},
        {"checks": "2"},
        {"port": "81"},
        {"address": "10.0.0.2"},
    ):
        restored = RestoreServer(BACKEND, SERVER, checked=True)
        assert drift([line(**changed)]) == [Drift(What.SERVER, f"{BACKEND}/10.0.0.1", restored)], changed


def test_a_server_that_somebody_deleted_or_added() -> None:
    (gone,) = drift([])
    assert isinstance(gone.change, AddServer)
    (come,) = drift([line(), line(name="stranger")])
    assert come.change == RemoveServer(BACKEND, Server("stranger", "10.0.0.1", 80))
    (spare,) = drift([line(), line(backend="spare:3", name="stranger")])
    assert spare.key == "spare:3/stranger"
    assert drift([line(), line(backend="somebody-elses", name="stranger")]) == []


def test_a_server_that_leaves_is_no_drift() -> None:
    leaving = line(name="old", admin="1")
    (server,) = server_states(leaving)
    seen = Seen({BACKEND: {"old": server, **{s.name: s for s in server_states(line())}}}, {})
    assert find_drift(RUNNING, seen, {(BACKEND, "old")}) == []
    assert find_drift(RUNNING, seen, set()) != []


def test_servers_that_lines_of_the_service_itself_add_or_govern_are_no_drift() -> None:
    own = running(backendExtra="server other 10.0.0.9:80 backup")
    assert drift([line(), line(name="other")], running=own) == []


def test_entries_of_maps() -> None:
    assert drift([line()], "") == [Drift(What.MAP, "/web", AddEntry("any", "/web", BACKEND))]
    more = f"0x1 /web {BACKEND}\n0x2 /more {BACKEND}\n0x3 /web other"
    assert [found.change for found in drift([line()], more)] == [
        RemoveEntry("any", "/more"),
        SetEntry("any", "/web", BACKEND),
    ]
    assert drift([line()], "Unknown map identifier. Please use #<id> or <file>.") == []


def test_the_names_of_stand_ins() -> None:
    fresh = Running.fresh(described([]))
    stood_in = Running(RUNNING.configuration, fresh.loaded, {BACKEND: "spare:1"})
    assert drift([line(backend="spare:1")], "0x1 /web spare:1", stood_in) == []
    (changed,) = drift([line(backend="spare:1", admin="1")], "0x1 /web spare:1", stood_in)
    assert changed == Drift(What.SERVER, f"{BACKEND}/10.0.0.1", RestoreServer("spare:1", SERVER, checked=True))


def test_certificates() -> None:
    ours, other = (read_certificate("a.pem", make_certificate("a.org")[0]).pem for _ in range(2))
    configuration = RUNNING.configuration
    certified = Running.fresh(
        type(configuration)(configuration.head, {}, configuration.sections, {}, {}, {"a.pem": ours})
    )
    seen = Seen({}, {}, {}, list_entries("# list\n"))
    assert [found.change for found in find_drift(certified, seen, ())] == [AddCertificate("a.pem", ours)]
    shown = fingerprints("Filename: certs/a.pem\nSHA1 FingerPrint: 00\n\nFilename: certs/b.pem\nStatus: Unused\n")
    assert shown == {"certs/a.pem": "00", "certs/b.pem": ""}
    seen = seen._replace(fingerprints={"a.pem": "00"}, listed=list_entries("# list\ncerts/a.pem:1\nstranger.pem:2\n"))
    found = find_drift(certified, seen, ())
    assert [(drift.what, drift.key) for drift in found] == [
        (What.CERTIFICATE, "a.pem"),
        (What.CRT_LIST, "stranger.pem"),
    ]
    assert isinstance(found[0].change, SetCertificate)
    assert other != ours
    assert list_entries("didn't find the specified filename") is None
