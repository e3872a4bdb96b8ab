from __future__ import annotations

from flowproxy.commands import commands, failed_reloads, fields, old_workers
from flowproxy.plan import AddEntry, AddServer, RemoveEntry, RemoveServer, SetEntry
from flowproxy.render import Server

SERVER = Server("web.1.x", "10.0.0.1", 80)
PROCESSES = """#<PID>          <type>          <reloads>       <uptime>        <version>
688             master          2 [failed: 1]   0d00h00m00s     2.6.12
# workers
700             worker          0               0d00h00m00s     2.6.12
# old workers
691             worker          1               0d00h00m09s     2.6.12
650             worker          2               0d00h00m19s     2.6.12
# programs

"""


def sent(*changes: object, leaving: set[tuple[str, str]] | None = None) -> list[str]:
    return [command for command, _ in commands(changes, leaving or set(), "/cfg/crt-list.txt")]  # type: ignore[arg-type]


def test_a_server_is_added_checked_and_made_ready() -> None:
    assert sent(AddServer("web", SERVER, "check")) == [
        "add server web/web.1.x 10.0.0.1:80 check",
        "enable health web/web.1.x",
        "set server web/web.1.x state ready",
    ]


def test_a_server_that_comes_back_before_it_was_deleted_is_only_made_ready() -> None:
    leaving = {("web", "web.1.x")}

    assert sent(AddServer("web", SERVER, "check"), leaving=leaving) == ["set server web/web.1.x state ready"]
    assert leaving == set()


def test_a_leaving_server_gets_no_new_request() -> None:
    assert sent(RemoveServer("web", SERVER)) == ["set server web/web.1.x state maint"]


def test_new_map_entries_go_together_and_in_pieces_that_fit() -> None:
    many = sent(*(AddEntry("any", f"/{number:04}{'x' * 90}", "web-be80_0") for number in range(200)))

    assert 2 <= len(many) < 10
    assert all(len(command) < 16000 for command in many)
    assert sum(command.count("\n") for command in many) == 200 + len(many)


def test_a_key_with_special_characters_is_escaped() -> None:
    assert sent(SetEntry("any", "/a;b", "web"), RemoveEntry("any", "/c d")) == [
        "set map maps/any.map /a\\;b web",
        "del map maps/any.map /c\\ d",
    ]


def test_answers_are_read() -> None:
    assert failed_reloads(PROCESSES) == 1
    assert old_workers(PROCESSES) == [691, 650]
    assert fields("Name: HAProxy\nPid: 7\n")["Pid"] == "7"
