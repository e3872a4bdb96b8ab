from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowproxy.cluster.agreement import (
    Kind,
    Record,
    as_json,
    by_key,
    chunks,
    digest_of,
    newer,
    records_of,
    versions,
    versions_of,
)

CONTENTS = st.none() | st.dictionaries(st.sampled_from(["servicePath", "port"]), st.sampled_from(["/", "80"]))
RECORDS = st.lists(
    st.builds(
        Record,
        st.just(Kind.SERVICE),
        st.sampled_from("abc"),
        st.sampled_from([1.0, 2.0, 2.5]),
        st.sampled_from([0.0, 1.5]),
        CONTENTS,
    )
)


def service(name: str, changed: float, **parameters: str) -> Record:
    return Record(Kind.SERVICE, name, changed, 1.0, parameters)


@given(RECORDS, RECORDS)
def test_two_that_send_each_other_what_is_newer_are_the_same(first: list[Record], second: list[Record]) -> None:
    here, there = dict(by_key(first)), dict(by_key(second))
    from_here = [here[key] for key in newer(versions(here), versions(there))]
    from_there = [there[key] for key in newer(versions(there), versions(here))]
    here |= by_key(from_there)
    there |= by_key(from_here)

    assert here == there
    assert digest_of(versions(here)) == digest_of(versions(there))
    assert newer(versions(here), versions(there)) == []


def test_the_later_change_wins_also_when_it_is_a_removal() -> None:
    old, removal = service("a", 1.0, port="80"), Record(Kind.SERVICE, "a", 2.0, 0.0, None)
    mine, theirs = versions(by_key([old])), versions(by_key([removal]))
    assert newer(mine, theirs) == []
    assert newer(theirs, mine) == [(Kind.SERVICE, "a")]
    assert digest_of(mine) != digest_of(theirs)


@given(RECORDS)
def test_what_is_sent_arrives(records: list[Record]) -> None:
    assert [record for text in chunks(records) for record in records_of(text)] == records
    known = versions(by_key(records))
    assert versions_of(as_json(known)) == known


def test_long_records_go_in_several_calls() -> None:
    records = [service(str(number), 1.0, port="8" * 150_000) for number in range(5)]
    assert [len(records_of(text)) for text in chunks(records)] == [2, 2, 1]
    assert list(chunks([])) == []


def test_nothing_that_a_version_tells_is_secret() -> None:
    assert "hunter2" not in as_json(versions(by_key([service("a", 1.0, users="alice:hunter2")])))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "{}",
        "[1]",
        '[["service","a",1,"d",1,1]]',
        '[["thing","a",1,"d"]]',
        '[["service","a",NaN,"d"]]',
        '[["service","a",-1,"d"]]',
        '[["service","a","1","d"]]',
        '[["service","a",Infinity,"d"]]',
    ],
)
def test_texts_that_are_none_of_ours(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        versions_of(wrong)
    with pytest.raises(ValueError, match=r".*"):
        records_of(wrong.replace('"d"', '1,"d"'))
