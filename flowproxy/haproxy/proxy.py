"""The HAProxy alongside: adopt or start it, check, apply, reload, drain. Nothing else touches HAProxy or its files.

It runs as a session of its own, so it outlives this process; the next controller finds it by its master socket.
Everything lies in the state folder, and `default-path config` makes the paths in haproxy.cfg relative to it: a
candidate in another folder is checked as it will run, and a map keeps its name in the runtime API.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil
import structlog

from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.files import write_whole
from flowproxy.haproxy.commands import (
    ServerHealth,
    ServerState,
    commands,
    failed_reloads,
    fields,
    fingerprints,
    has_streams,
    list_entries,
    map_entries,
    old_workers,
    proofs,
    server_health,
    server_states,
    workers,
)
from flowproxy.haproxy.drift import Seen
from flowproxy.haproxy.plan import Cause, Change, Nothing, Plan, Reload, RemoveServer
from flowproxy.haproxy.plan import (
    Runtime as RuntimePlan,
)
from flowproxy.haproxy.sockets import Runtime
from flowproxy.rendering.acls import LISTS
from flowproxy.rendering.configuration import CRT_LIST, EXPORTER, OWNER, Configuration, certificate_file, map_file
from flowproxy.settings import Settings, environment
from flowproxy.text.lines import reads_files
from flowproxy.text.secrets import without_secrets_of

_log = structlog.get_logger(__name__)

_CHECK_SECONDS = 60.0
_EXPORTER_SECONDS = 10.0
_START_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_END_SECONDS = 0.3  # for each of the signals that no drain is left for
_DRAIN_PAUSE_SECONDS = 0.1  # enough for a request that has been sent to be seen
_CANDIDATE = "candidate-"
_FINDING = re.compile(r"\[ALERT\]\s+\(\d+\) : (?P<text>.*)")
_UNREPEATED = (
    "HAProxy does not accept a line that reads a file; what it says is not repeated, because it may quote the file"
)
_PLACE = re.compile(r"\[[^\]]*haproxy\.cfg:(?P<line>\d+)\]")


class ProxyStatus(NamedTuple):
    """What `/v1/status` says of HAProxy. `pid` is the master's, `uptime` its seconds."""

    version: str
    pid: int
    worker: int
    uptime: int


class Proxy:
    """One HAProxy in master-worker mode, with its state folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.folder = settings.state_dir.resolve()
        self._master_path = self.folder / "master.sock"
        self._master = Runtime(self._master_path, master=True)
        self._worker = Runtime(self.folder / "haproxy.sock")
        self._looks = Runtime(self.folder / "haproxy.sock")  # long answers, which no change waits for
        self._pid: int | None = None
        self._written: dict[str, bytes] = {}
        self._leaving: set[tuple[str, str]] = set()
        self._reloaded: str | None = None  # the pid of the worker that was last brought up
        self._lock: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._started = asyncio.Event()
        self._hands = asyncio.Lock()
        self._stopping = False
        self.reloads: Counter[Cause] = Counter()
        self.runtime_updates = 0
        self.unwritten: str | None = None  # why what runs is not on the disk

    # Life

    async def attach(self) -> bool:
        """Adopts the HAProxy that already runs here; returns whether one does.

        Raises ProxyUnavailable when the folder is another controller's, when
        there is no HAProxy program, or when the ports for traffic cannot be had.
        """
        self._claim_folder()
        if shutil.which(self._settings.haproxy) is None:
            raise ProxyUnavailable(
                f"there is no program {self._settings.haproxy!r}; install HAProxy 2.6 or newer"
                " (apt-get install haproxy), or set FLOWPROXY_HAPROXY to its path"
            )
        self._pid = await self._running_master()
        if self._pid:
            self._started.set()
            _log.info("haproxy adopted", pid=self._pid)
            return True
        self._require_traffic_ports()
        return False

    async def start_as_before(self) -> bool:
        """Starts HAProxy on the files of the last good configuration, servers included; returns whether it runs."""
        if not (self.folder / "haproxy.cfg").is_file():
            return False
        async with self._hands:
            if self._pid is not None:
                return True
            try:
                await self._run_check(self.folder)
                await self._start(None)
            except (Rejected, ProxyUnavailable) as error:
                _log.warning("the configuration on disk is not used", reason=str(error))
                return False
        return True

    async def watch(self, on_restart: Callable[[], None]) -> None:
        """Starts HAProxy again, on the files of the last good configuration, whenever it dies.

        `on_restart` is called after each try, so that the reconciler writes the files anew and starts it where that
        failed. Between two tries HAProxy is free for others.
        """
        while True:
            await self._started.wait()
            pid = self._pid
            if pid is not None:
                await _end_of(pid)
            if self._stopping:
                return
            async with self._hands:
                if self._pid != pid:
                    continue
                _log.error("haproxy died", pid=pid)
                self._leaving.clear()
                self._pid = None
            while not await self._started_again():
                on_restart()
                await asyncio.sleep(_RETRY_SECONDS)
            on_restart()

    async def _started_again(self) -> bool:
        async with self._hands:
            if self._pid is not None:  # somebody else was quicker
                return True
            try:
                await self._start(None)
            except (ProxyUnavailable, OSError) as error:  # no file descriptor, no process
                _log.error("haproxy could not be started again", reason=str(error))
                return False
        return True

    async def hold(self, within: float) -> None:
        """Returns when a change that is under way has ended, at most `within` seconds later: a HAProxy that is
        reloading misses signals. No other change begins afterwards."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._hands.acquire()

    async def stop(self, within: float) -> None:
        """Lets HAProxy finish what it is doing, for at most `within` seconds, and ends it."""
        self._stopping = True
        pid = self._pid
        if pid is None:
            return
        _signal(pid, signal.SIGUSR1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._drain(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal(pid, number)
            if await _ends(pid, _END_SECONDS):
                break
        self._pid = None
        _log.info("haproxy stopped", pid=pid)

    async def _drain(self, pid: int) -> None:
        """Returns when HAProxy has ended, or nothing is left in it but idle connections: it would keep those until
        their next request."""
        while not await _ends(pid, _DRAIN_PAUSE_SECONDS):
            if not await self._is_busy():
                return

    async def _is_busy(self) -> bool:
        """Whether a request or a tunnel is under way; also when HAProxy does not say."""
        try:
            pids = workers(await self._master.ask("show proc"))
            return any([has_streams(await self._master.ask(f"@!{pid} show sess")) for pid in pids])
        except ProxyUnavailable:
            return True

    def close(self) -> None:
        self._master.close()
        self._worker.close()
        self._looks.close()
        if self._lock is not None:
            os.close(self._lock)

    # What the reconciler asks for

    async def check(self, configuration: Configuration) -> None:
        """Raises Rejected, in HAProxy's words, when it would not run this configuration; ProxyUnavailable when it does
        not say, OSError when there is no place to write it to."""
        files = await asyncio.to_thread(configuration.files, spares=False)
        folder = await asyncio.to_thread(self._write_candidate, files)
        try:
            await self._run_check(folder)
            _require_ports(configuration.ports)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def apply(self, plan: Plan, configuration: Configuration) -> None:
        """Brings HAProxy to the configuration. After it returns, every new request is served by it.

        Raises Rejected or ProxyUnavailable; then HAProxy runs on what it had.
        """
        async with self._hands:
            match plan:
                case Reload(cause):
                    await self._replace(configuration, cause)
                case RuntimePlan(changes):
                    await self._change(changes)
                    self.runtime_updates += 1
                    await self._keep(configuration)
                case Nothing() if self.unwritten:
                    await self._keep(configuration)
            await self._delete_leaving()

    async def repair(self, changes: tuple[Change, ...]) -> None:
        """Takes back what somebody else has changed. Raises ProxyUnavailable when HAProxy does not do it."""
        async with self._hands:
            await self._change(changes)
            await self._delete_leaving()

    @property
    def leaving(self) -> frozenset[tuple[str, str]]:
        """The servers, as (backend, name), that are to be deleted when their last request has ended."""
        return frozenset(self._leaving)

    async def look(self, configuration: Configuration) -> Seen | None:
        """Return what the worker holds of this configuration; None when it is not the worker that was brought up here.

        Raises ProxyUnavailable.
        """
        info = fields(await self._looks.ask("show info"))
        if info.get("Pid") != self._reloaded:
            return None
        names = list(configuration.maps)
        files = {certificate_file(name): name for name in configuration.certificates}
        asked = ["show servers state", *(f"show map {map_file(name)}" for name in names)]
        if files:
            asked.append(f"show ssl crt-list -n {self._settings.crt_list}")
            asked += [f"show ssl cert {file}" for file in files]
        answers = await self._looks.ask_all(asked)
        return await asyncio.to_thread(seen_in, answers, names, files)

    async def status(self) -> ProxyStatus | None:
        """None when HAProxy does not run."""
        try:
            info = fields(await self._worker.ask("show info"))
        except ProxyUnavailable:
            return None
        pid = self._pid or 0
        try:
            uptime = max(0, int(time.time() - psutil.Process(pid).create_time()))
        except psutil.Error:
            uptime = 0
        return ProxyStatus(info.get("Version", ""), pid, int(info.get("Pid", "0")), uptime)

    async def old_workers(self) -> int:
        """How many workers live on after a reload, until their connections end or FLOWPROXY_HARD_STOP_AFTER."""
        try:
            return len(old_workers(await self._master.ask("show proc")))
        except ProxyUnavailable:
            return 0

    async def statistics(self) -> str:
        """HAProxy's statistics as CSV (management guide, 9.1). Raises ProxyUnavailable."""
        return await self._worker.ask("show stat") + "\n"

    async def health(self, backend: str) -> list[ServerHealth]:
        """Of the servers of a backend, by its name in HAProxy. Raises ProxyUnavailable."""
        return server_health(await self._worker.ask(f"show stat {backend} 4 -1"))

    async def exporter(self) -> str:
        """What HAProxy's own exporter says; nothing where it was not built in or cannot be reached."""
        connector = aiohttp.UnixConnector(str(self.folder / EXPORTER))
        timeout = aiohttp.ClientTimeout(total=_EXPORTER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get("http://haproxy/metrics") as answer,
            ):
                return await answer.text() if answer.status == 200 else ""
        except (aiohttp.ClientError, OSError, TimeoutError):
            return ""

    # Reload

    async def _replace(self, configuration: Configuration, cause: Cause) -> None:
        files = await asyncio.to_thread(configuration.files)
        before = await asyncio.to_thread(self._on_disk, files)
        if cause is Cause.UNKNOWN:
            self._written = dict(before)  # somebody may have changed them by hand
        await asyncio.to_thread(self._write, files)
        try:
            if self._pid is None:
                await self._start(configuration.digest)
            else:
                await self._reload(configuration.digest)
                self.reloads[cause] += 1
        except (Rejected, ProxyUnavailable):
            await asyncio.to_thread(self._write, before)
            raise
        await asyncio.to_thread(self._forget_lists, files)
        self._leaving.clear()
        self._reloaded = await self._worker_pid()

    async def _reload(self, digest: str) -> None:
        """From 2.7 on the master answers when the new worker is ready; 2.6 answers nothing. So the proof is
        asked for: the worker that answers is a new one and runs this configuration, and every older one has stopped
        listening."""
        worker_before = await self._worker_pid()
        failed_before = failed_reloads(await self._master.ask("show proc"))
        answer = await self._master.ask("reload")
        if "Success=0" in answer:
            raise _rejection(answer, self.folder / "haproxy.cfg")

        async def serving() -> bool:
            try:
                info = fields(await self._worker.ask("show info"))
                if info.get("description") == digest and info.get("Pid") != worker_before:
                    return await self._old_workers_stopping()
                processes = await self._master.ask("show proc")
            except ProxyUnavailable:
                return False
            if failed_reloads(processes) > failed_before:
                raise Rejected("the new worker did not start; are all ports for traffic free?")
            return False

        await _until(serving, "HAProxy's new worker does not answer", _START_SECONDS)

    async def _worker_pid(self) -> str | None:
        try:
            return fields(await self._worker.ask("show info")).get("Pid")
        except ProxyUnavailable:
            return None

    async def _old_workers_stopping(self) -> bool:
        processes = await self._master.ask("show proc")
        for pid in old_workers(processes):
            info = fields(await self._master.ask(f"@!{pid} show info"))
            if info.get("Stopping", "1") != "1":
                return False
        return True

    # Runtime

    async def _keep(self, configuration: Configuration) -> None:
        """What was changed at run time, on the disk too: a disk that is full does not keep it from running."""
        files = await asyncio.to_thread(configuration.files)
        try:
            await asyncio.to_thread(self._write, files)
            self.unwritten = None
        except OSError as error:
            if self.unwritten is None:
                _log.error("configuration cannot be written", folder=str(self.folder), reason=error.strerror)
            self.unwritten = f"{self.folder} cannot be written: {error.strerror}"

    async def _change(self, changes: tuple[Change, ...]) -> None:
        """Raises ProxyUnavailable unless HAProxy shows afterwards that all was done."""
        leaving = tuple(change for change in changes if isinstance(change, RemoveServer))
        together = len(changes) - len(leaving)
        await self._tell(changes[:together])
        for backend in {change.backend for change in leaving}:
            await self._admit_who_stays(backend, {c.server.name for c in leaving if c.backend == backend})
        await self._tell(changes[together:])
        self._leaving |= {(change.backend, change.server.name) for change in leaving}
        for proof in proofs(changes):
            if not proof.holds(await self._worker.ask(proof.question)):
                raise ProxyUnavailable(f"HAProxy did not do what it was told, says its answer to {proof.question!r}")

    async def _tell(self, changes: Iterable[Change]) -> None:
        for command in commands(changes, self._leaving, str(self._settings.crt_list)):
            answer = await self._worker.ask(command.text)
            if not command.is_done(answer):
                shown = command.text.partition("\n")[0][:200]
                raise ProxyUnavailable(f"HAProxy answered {answer!r} to {shown!r}")

    async def _admit_who_stays(self, backend: str, leaving: set[str]) -> None:
        """Servers that wait for their first check are better than none."""
        servers = server_states(await self._worker.ask(f"show servers state {backend}"))
        staying = [server for server in servers if not server.is_in_maintenance and server.name not in leaving]
        if not any(server.is_up for server in staying):
            for server in staying:
                await self._worker.ask(f"set server {backend}/{server.name} health up")

    async def _delete_leaving(self) -> None:
        """A server goes for good only when its last request has ended; until then it gets no new one."""
        for backend, name in sorted(self._leaving):
            with contextlib.suppress(ProxyUnavailable):
                answer = await self._worker.ask(f"del server {backend}/{name}")
                if answer in ("Server deleted.", "No such server.", "No such backend."):
                    self._leaving.discard((backend, name))

    # Processes

    async def _running_master(self) -> int | None:
        try:
            first_line = (await self._master.ask("show proc")).splitlines()[1]
        except (ProxyUnavailable, IndexError):
            return None
        return int(first_line.split()[0])

    async def _start(self, digest: str | None) -> None:
        self._require_traffic_ports()
        arguments = [
            "-W",
            "-S",
            self._master_path,
            "-f",
            self.folder / "haproxy.cfg",
        ]
        process = await asyncio.create_subprocess_exec(
            self._settings.haproxy,
            *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            env=_environment(),
            # Its log goes to standard output. Standard error says at each reload of every backend that it stopped.
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

        async def answers() -> bool:
            if process.returncode is not None:
                raise ProxyUnavailable(
                    f"HAProxy ended at once with exit status {process.returncode}; see its log above"
                )
            try:
                info = fields(await self._worker.ask("show info"))
                await self._master.ask("show proc")  # before it answers, it misses signals
            except ProxyUnavailable:
                return False
            return digest is None or info.get("description") == digest

        try:
            await _until(answers, "HAProxy was started but does not answer", _START_SECONDS)
        except BaseException:  # cancelled too: nobody else knows of it
            if process.returncode is None:
                process.kill()
            raise
        self._pid, self._process = process.pid, process
        self._started.set()
        _log.info("haproxy started", pid=process.pid)

    def _require_traffic_ports(self) -> None:
        """HAProxy says it too, but in more words."""
        for port in self._settings.traffic_ports:
            if trouble := _trouble_with(port):
                raise ProxyUnavailable(f"port {port} of DEFAULT_PORTS cannot be used: {trouble}")

    # Files

    def _claim_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProxyUnavailable(
                f"another controller works in {self.folder}; stop it, or set FLOWPROXY_STATE_DIR to another folder"
            ) from None
        except OSError as error:
            raise ProxyUnavailable(f"FLOWPROXY_STATE_DIR: {self.folder}: {error.strerror}") from None
        for left in self.folder.glob(f"{_CANDIDATE}*"):  # by a controller that was killed
            shutil.rmtree(left, ignore_errors=True)

    def _write_candidate(self, files: dict[str, bytes]) -> Path:
        """Return a folder with these files. A state folder that cannot be written does not keep HAProxy from looking at
        them. Raises OSError when nothing can be written anywhere."""
        try:
            return self._candidate_below(self.folder, files)
        except OSError:
            return self._candidate_below(Path(tempfile.gettempdir()), files)

    def _candidate_below(self, place: Path, files: dict[str, bytes]) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=_CANDIDATE, dir=place))
        # The one path that is not relative: other programs look for it in the configuration.
        list_here, list_there = (str(parent / CRT_LIST).encode() for parent in (self.folder, folder))
        try:
            _write_all(folder, files | {"haproxy.cfg": files["haproxy.cfg"].replace(list_here, list_there)})
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    async def _run_check(self, folder: Path) -> None:
        process = await asyncio.create_subprocess_exec(
            self._settings.haproxy,
            "-c",
            "-f",
            str(folder / "haproxy.cfg"),
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                _, said = await process.communicate()
        except TimeoutError:
            raise ProxyUnavailable(f"haproxy -c took more than {_CHECK_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise _rejection(said.decode(errors="replace"), folder / "haproxy.cfg")

    def _on_disk(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return what those of the files hold that are there."""
        found = {}
        for path in paths:
            with contextlib.suppress(OSError):
                found[path] = (self.folder / path).read_bytes()
        return found

    def _write(self, files: dict[str, bytes]) -> None:
        """The maps before the configuration that asks them; only what differs."""
        for path, content in files.items():
            if self._written.get(path) != content:
                write_whole(self.folder / path, content)
                self._written[path] = content

    def _forget_lists(self, files: Container[str]) -> None:
        """Deletes the files of values that no rule names any more: each change of a list has made a new one."""
        for path in (self.folder / LISTS).glob("*"):
            name = f"{LISTS}/{path.name}"
            if name not in files:
                path.unlink(missing_ok=True)
                self._written.pop(name, None)


def seen_in(answers: list[str], maps: list[str], files: Mapping[str, str]) -> Seen:
    """What the answers of a look say: of servers, of each of the maps, of the crt-list, and of each of the files."""
    servers: dict[str, dict[str, ServerState]] = {}
    for server in server_states(answers[0]):
        servers.setdefault(server.backend, {})[server.name] = server
    entries = zip(maps, map(map_entries, answers[1 : 1 + len(maps)]), strict=True)
    known = {name: found for name, found in entries if found is not None}
    if not files:
        return Seen(servers, known)
    listed, *certificates = answers[1 + len(maps) :]
    shown = fingerprints("\n".join(certificates))
    return Seen(servers, known, {name: shown[f] for f, name in files.items() if f in shown}, list_entries(listed))


async def has_exporter(program: str) -> bool:
    """Whether HAProxy was built with its exporter for Prometheus."""
    return "Prometheus exporter" in await _build(program)


async def has_match_limits(program: str) -> bool:
    """Whether HAProxy's regular expressions are PCRE's, which take a limit in front of them."""
    return re.search(r"\+PCRE2?\b", await _build(program)) is not None


async def _build(program: str) -> str:
    """How HAProxy was built, in its own words; nothing where there is none."""
    try:
        process = await asyncio.create_subprocess_exec(program, "-vv", stdout=asyncio.subprocess.PIPE)
    except OSError:
        return ""
    said, _ = await process.communicate()
    return said.decode(errors="replace")


def _environment() -> dict[str, str]:
    """What HAProxy is told of ours: nothing that a configuration could read out of it."""
    return {name: value for name, value in environment().items() if name in ("PATH", "LANG", "TZ")}


def _require_ports(ports: Iterable[int]) -> None:
    for port in ports:
        if trouble := _trouble_with(port):
            raise Rejected(f"srcPort {port} cannot be used: {trouble}")


def _trouble_with(port: int) -> str | None:
    """Why nobody could listen on it now; a HAProxy of ours that does is none."""
    with socket.socket() as probe:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind(("", port))
        except PermissionError:
            return "no permission; start as root, or choose ports above 1023"
        except OSError as error:
            return error.strerror
    return None


def _write_all(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _rejection(said: str, configuration: Path) -> Rejected:
    """HAProxy's complaints in one line each, with the services whose sections it complains about."""
    findings, services, lines = [], set(), []
    given = configuration.read_text(errors="replace").split("\n")
    for found in _FINDING.finditer(said):
        text = found["text"].removeprefix("config : ")
        if text.startswith(("Error(s) found", "Fatal errors found")):
            continue
        place = _PLACE.search(text)
        if place:
            line = int(place["line"])
            owner = _owner(given[:line])
            services.add(owner)
            lines.append(given[line - 1])
            where = f"service {owner}" if owner else f"line {line}"
            if owner and reads_files(given[line - 1]):
                text = f"{where}: {_UNREPEATED}"
            else:
                text = without_secrets_of(given[line - 1], text).replace(place[0], where).removeprefix("parsing ")
        findings += [text] if text not in findings else []
    message = "; ".join(findings[:10]) or said.strip()[-500:] or "no reason was given"
    return Rejected(message, services - {""}, lines)


def _owner(above: list[str]) -> str:
    """The service in whose part the last of these lines stands; empty when it is nobody's. A comment tells it, within
    the section or right above it."""
    for number in range(len(above) - 1, -1, -1):
        line = above[number].strip()
        if line.startswith(OWNER):
            return line.removeprefix(OWNER)
        if above[number][:1].isalpha() and number and not above[number - 1].startswith(OWNER):
            return ""
    return ""


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def _ends(pid: int, within: float) -> bool:
    """Returns whether the process ends within so many seconds."""
    try:
        async with asyncio.timeout(within):
            await _end_of(pid)
    except TimeoutError:
        return False
    return True


async def _end_of(pid: int) -> None:
    """Returns when the process, which need not be a child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise ProxyUnavailable(f"{otherwise} within {seconds:.0f} s")
        await asyncio.sleep(0.004)
