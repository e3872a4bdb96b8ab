"""Files that change while they are looked at, by several at once."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from certificates import make_certificate
from support import eventually

from flowproxy.certificates import keyring, watch
from flowproxy.certificates.checks import CertificateChecks
from flowproxy.certificates.keyring import Keyring
from flowproxy.errors import InvalidCertificate, NotStored, ProxyUnavailable, Rejected
from flowproxy.services.certificate import Certificate
from flowproxy.services.registry import Registry


class Judge:
    """Stands for HAProxy: refuses what is for a host named bad.*, and does not answer when `away`."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    async def check(self, certificates: Sequence[Certificate]) -> None:
        await asyncio.sleep(0)
        self.asked += 1
        if self.away:
            raise ProxyUnavailable("no program")
        if any(domain.startswith("bad") for certificate in certificates for domain in certificate.domains):
            raise Rejected("bind : unable to load 'certs/x'")


class Keys:
    def __init__(self, folder: Path) -> None:
        self.folder, self.secrets = folder / "certs", folder / "secrets"
        self.folder.mkdir()
        self.secrets.mkdir()
        self.registry = Registry()
        self.judge = Judge()
        self.ring = Keyring(self.folder, self.secrets, self.registry, CertificateChecks(self.judge.check))

    @property
    def serials(self) -> dict[str, int]:
        return {name: certificate.serial for name, certificate in self.registry.snapshot().certificates.items()}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def test_whatever_is_put_is_in_the_registry_when_put_returns(keys: Keys) -> None:
    """While others are put, files are copied in and removed by another program, and the folder is looked at."""
    made = {f"{number}.pem": make_certificate(f"{number}.org") for number in range(100)}
    copied, copied_serial = make_certificate("copied.org")
    over = threading.Event()

    def meddle() -> None:
        while not over.is_set():
            for number in range(20):
                (keys.folder / f"copied{number}").write_text(copied)
                with contextlib.suppress(FileNotFoundError):
                    (keys.folder / f"copied{number - 3}").unlink()

    async def look() -> None:
        while not over.is_set():
            await keys.ring.look()

    async def put(name: str) -> None:
        pem, serial = made[name]
        generation = await keys.ring.put(name, pem)
        assert keys.serials[name] == serial
        assert keys.registry.snapshot().generation >= generation

    async def race() -> None:
        async with asyncio.TaskGroup() as tasks:
            lookers = [tasks.create_task(look()) for _ in range(3)]
            async with asyncio.TaskGroup() as putters:
                for name in made:
                    putters.create_task(put(name))
            over.set()
            await asyncio.wait(lookers)

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        asyncio.run(race())
    finally:
        over.set()
        meddler.join()
    asyncio.run(keys.ring.look())
    found = keys.serials
    assert {name: found[name] for name in made} == {name: serial for name, (_, serial) in made.items()}
    assert set(found.values()) - {serial for _, serial in made.values()} <= {copied_serial}


def test_a_refused_one_is_named_until_it_is_repaired_or_removed(keys: Keys) -> None:
    good, serial = make_certificate("a.org")
    bad, _ = make_certificate("bad.org")
    file, secret = keys.folder / "a.pem", keys.secrets / "cert-b"
    file.write_text(good)
    asyncio.run(keys.ring.look())
    assert keys.serials == {"a.pem": serial}

    file.write_text(bad)
    secret.write_text("garbage")
    (keys.secrets / "other").write_text("garbage")
    for _ in range(2):
        asyncio.run(keys.ring.look())
        assert keys.serials == {"a.pem": serial}
        assert list(keys.ring.refused) == [str(secret), str(file)]
        assert keys.ring.refused[str(file)] == "HAProxy rejects it: unable to load"

    file.write_text(good)
    secret.unlink()
    asyncio.run(keys.ring.look())
    assert keys.ring.refused == {}
    file.write_text(bad)
    asyncio.run(keys.ring.look())
    file.unlink()
    asyncio.run(keys.ring.look())
    assert (keys.serials, keys.ring.refused) == ({}, {})


def test_what_cannot_be_judged_waits(keys: Keys) -> None:
    first, serial = make_certificate("a.org")
    second, of_second = make_certificate("a.org")
    (keys.folder / "a.pem").write_text(first)
    asyncio.run(keys.ring.look())
    keys.judge.away = True
    (keys.folder / "a.pem").write_text(second)
    asyncio.run(keys.ring.look())
    assert keys.serials == {"a.pem": serial}
    with pytest.raises(ProxyUnavailable):
        asyncio.run(keys.ring.put("b.pem", make_certificate("b.org")[0]))
    assert not (keys.folder / "b.pem").exists()

    keys.judge.away = False
    asyncio.run(keys.ring.look())
    assert keys.serials == {"a.pem": of_second}


def test_what_is_refused_when_it_is_put_changes_nothing(keys: Keys) -> None:
    good, serial = make_certificate("a.org")
    asyncio.run(keys.ring.put("a.pem", good))
    for name, pem in (("a.pem", make_certificate("bad.org")[0]), ("b.pem.new", good), ("../b", good)):
        with pytest.raises(InvalidCertificate):
            asyncio.run(keys.ring.put(name, pem))
    assert [path.name for path in keys.folder.iterdir()] == ["a.pem"]
    assert keys.serials == {"a.pem": serial}


def test_of_two_with_one_name_that_of_the_folder_counts(keys: Keys) -> None:
    (keys.secrets / "cert-a").write_text(make_certificate("a.org")[0])
    asyncio.run(keys.ring.look())
    pem, serial = make_certificate("a.org")
    (keys.folder / "cert-a").write_text(pem)
    asyncio.run(keys.ring.look())

    assert keys.serials == {"cert-a": serial}


def test_a_name_that_is_not_read_again_is_refused_with_the_reason(keys: Keys) -> None:
    good, _ = make_certificate("a.org")
    with pytest.raises(InvalidCertificate, match=r"names end with \.new are not read.*call it y\.new\.pem"):
        asyncio.run(keys.ring.put("y.new", good))
    (keys.folder / "folder").mkdir()
    with pytest.raises(InvalidCertificate, match="is a folder; give another name"):
        asyncio.run(keys.ring.put("folder", good))
    assert keys.serials == {}


def test_what_cannot_be_written_or_checked_is_not_the_callers_mistake(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = make_certificate("a.org")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(keyring, "write_whole", full)
        with pytest.raises(NotStored, match=r"a\.pem cannot be written: No space left on device"):
            asyncio.run(keys.ring.put("a.pem", good))
    with monkeypatch.context() as patched:
        patched.setattr(keys.ring._checks, "refusals", full)
        with pytest.raises(NotStored, match=r"cannot check certificate a\.pem: No space left on device"):
            asyncio.run(keys.ring.put("a.pem", good))
    assert keys.serials == {}


async def test_a_file_that_comes_is_noticed_long_before_the_next_look_is_due(keys: Keys) -> None:
    pem, serial = make_certificate("a.org")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keys.ring.run(3600))
        (keys.folder / "a.pem").write_text(pem)
        await _until(lambda: keys.serials == {"a.pem": serial})
        (keys.folder / "a.pem").unlink()
        await _until(lambda: keys.serials == {})
        running.cancel()


async def test_where_changes_are_not_reported_the_folder_is_looked_at_all_the_same(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a network file system that another machine writes to."""
    monkeypatch.setattr(watch, "_begun", lambda _: None)
    pem, serial = make_certificate("a.org")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keys.ring.run(0.05))
        (keys.folder / "a.pem").write_text(pem)
        await _until(lambda: keys.serials == {"a.pem": serial})
        running.cancel()


async def test_what_nobody_could_judge_is_looked_at_again_soon(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "_RETRY_SECONDS", 0.05)
    pem, serial = make_certificate("a.org")
    keys.judge.away = True
    (keys.folder / "a.pem").write_text(pem)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keys.ring.run(3600))
        await _until(lambda: keys.judge.asked > 1)
        keys.judge.away = False
        await _until(lambda: keys.serials == {"a.pem": serial})
        running.cancel()


async def _until(check: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, check)
