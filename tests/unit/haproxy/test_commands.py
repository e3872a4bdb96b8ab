from __future__ import annotations

import pytest

from flowproxy.haproxy.commands import commands, failed_reloads, fields, has_streams, old_workers, proofs, workers
from flowproxy.haproxy.plan import AddEntry, AddServer, Change, RemoveEntry, RemoveServer, SetEntry
from flowproxy.rendering.servers import Server

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


def sent(*changes: Change, leaving: set[tuple[str, str]] | None = None) -> list[str]:
    return [command.text for command in commands(changes, leaving or set(), "/cfg/crt-list.txt")]


def test_a_server_is_added_checked_and_made_ready_in_one_exchange() -> None:
    added = "add server web/web.1.x 10.0.0.1:80 check;enable health web/web.1.x;set server web/web.1.x state ready"

    assert sent(AddServer("web", SERVER, "check")) == [added]
    assert sent(AddServer("web", SERVER, "check", cautious=True)) == [f"{added};set server web/web.1.x health down"]


def test_a_server_that_comes_back_before_it_was_deleted_is_only_made_ready() -> None:
    leaving = {("web", "web.1.x")}

    assert sent(AddServer("web", SERVER, "check"), leaving=leaving) == ["set server web/web.1.x state ready"]
    assert leaving == set()


def test_a_leaving_server_gets_no_new_request() -> None:
    assert sent(RemoveServer("web", SERVER)) == ["set server web/web.1.x state maint"]


def test_new_entries_of_one_map_go_together_and_changes_keep_their_order() -> None:
    assert sent(
        AddServer("web", SERVER, ""),
        AddEntry("any", "/a", "web"),
        AddEntry("any", "/b", "web"),
        SetEntry("any", "/c", "web"),
        RemoveEntry("any", "/d e"),
        RemoveServer("old", SERVER),
    ) == [
        "add server web/web.1.x 10.0.0.1:80 ;set server web/web.1.x state ready",
        "add map maps/any.map <<\n/a web\n/b web\n",
        "set map maps/any.map /c web;del map maps/any.map /d\\ e;set server old/web.1.x state maint",
    ]


def test_no_exchange_is_larger_than_haproxys_buffer() -> None:
    entries = [AddEntry("any", f"/{'x' * 200}{number}", "web") for number in range(300)]
    servers = [AddServer("web", Server(f"web.{n}.{'y' * 100}", "10.0.0.1", 80), "check") for n in range(300)]

    assert all(len(text) < 12000 for text in sent(*entries, *servers))
    assert sum(text.count("\n/x") for text in sent(*entries)) == 300


STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight ...
3 web 1 web.1.x 10.0.0.1 2 0 1 1 0 1 0 2 6 0 0 0 - 80 - 0 0 - - 0
3 web 2 web.2.x 10.0.0.2 0 1 1 1 0 1 0 0 6 0 0 0 - 80 - 0 0 - - 0
"""


@pytest.mark.parametrize(
    ("change", "answer", "holds"),
    [
        (AddServer("web", SERVER, ""), STATE, True),
        (AddServer("web", SERVER._replace(port=81), ""), STATE, False),
        (AddServer("web", SERVER._replace(name="web.2.x", address="10.0.0.2"), ""), STATE, False),
        (AddServer("web", SERVER, ""), "", False),
        (RemoveServer("web", SERVER), STATE, False),
        (RemoveServer("web", SERVER._replace(name="web.2.x")), STATE, True),
        (RemoveServer("web", SERVER._replace(name="web.3.x")), STATE, True),
        (AddEntry("any", "/a", "web"), 'type=beg, found=yes, idx=tree, key="/a", value="web", type="str"', True),
        (AddEntry("any", "/a", "web"), 'type=beg, found=yes, idx=tree, key="/", value="web", type="str"', False),
        (RemoveEntry("any", "/a"), 'type=beg, found=yes, idx=tree, key="/", value="web", type="str"', True),
        (RemoveEntry("any", "/a"), 'type=beg, found=yes, idx=tree, key="/a", value="web", type="str"', False),
    ],
)
def test_what_was_changed_is_read_back(change: Change, answer: str, holds: bool) -> None:
    (proof,) = proofs([change])

    assert proof.holds(answer) is holds


def test_the_answers_of_the_master_are_understood() -> None:
    assert failed_reloads(PROCESSES) == 1
    assert old_workers(PROCESSES) == [691, 650]
    assert fields("Name: HAProxy\nPid: 7\n")["Pid"] == "7"


def test_all_workers_are_known_and_whether_something_is_under_way_in_them() -> None:
    ours = "0x7f36: proto=sockpair src=unix:2 fe=GLOBAL be=<NONE> srv=<none> ts=00\n\n"
    theirs = "0x7f37: proto=tcpv4 src=127.0.0.1:1 fe=services be=web-be srv=a ts=00\n"

    assert workers(PROCESSES) == [700, 691, 650]
    assert not has_streams(ours)
    assert has_streams(ours + theirs)
