"""Backends under the names of spares, in what HAProxy says."""

from __future__ import annotations

from flowproxy.haproxy.names import BackendNames

NAMES = BackendNames({"web-be80_0": "spare:1", "shop-be80_0": "spare:12"})


def test_a_stand_in_has_the_name_that_it_stands_in_for() -> None:
    assert NAMES.in_haproxy("web-be80_0") == "spare:1"
    assert NAMES.in_haproxy("other-be80_0") == "other-be80_0"
    assert [NAMES.own(name) for name in ("spare:1", "spare:12", "spare:2", "other")] == [
        "web-be80_0",
        "shop-be80_0",
        None,
        "other",
    ]


def test_statistics_are_renamed_in_the_field_of_the_backend_alone() -> None:
    answer = (
        "# pxname,svname,last_chk,\n"
        "spare:1,10.0.0.1,,\n"
        'other-be80_0,10.0.0.2,"said ""spare:1"", and spare:2",\n'
        "spare:2,BACKEND,,\n"
        "spare:12,BACKEND,,\n"
        "\n"
    )

    assert NAMES.in_statistics(answer) == (
        "# pxname,svname,last_chk,\n"
        "web-be80_0,10.0.0.1,,\n"
        'other-be80_0,10.0.0.2,"said ""spare:1"", and spare:2",\n'
        "shop-be80_0,BACKEND,,\n"
        "\n"
    )


def test_samples_are_renamed_in_the_label_of_the_backend_alone() -> None:
    text = (
        "# HELP haproxy_backend_status Of proxy spare:1.\n"
        "haproxy_process_uptime_seconds 3\n"
        'haproxy_backend_status{proxy="spare:1",state="UP"} 1\n'
        'haproxy_backend_status{proxy="spare:2",state="UP"} 0\n'
        'haproxy_server_check{server="spare:2",proxy="spare:12"} 0\n'
        'haproxy_server_check{proxy="other",server="a\\"b}c",said="spare:2"} 0\n'
    )

    assert NAMES.in_exposition(text) == (
        "# HELP haproxy_backend_status Of proxy spare:1.\n"
        "haproxy_process_uptime_seconds 3\n"
        'haproxy_backend_status{proxy="web-be80_0",state="UP"} 1\n'
        'haproxy_server_check{server="spare:2",proxy="shop-be80_0"} 0\n'
        'haproxy_server_check{proxy="other",server="a\\"b}c",said="spare:2"} 0\n'
    )
