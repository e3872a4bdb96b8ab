"""A real Docker Swarm of one node: a separate daemon in a temporary folder, removed completely afterwards.

The daemon shares the machine's network, because the tests speak to published ports on 127.0.0.1. It has
bridges of its own, so that a Docker that already runs on the machine keeps its; what it does to netfilter and
to forwarding is put back.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from support import eventually

PROGRAMS = ("dockerd", "docker", "debootstrap", "iptables-save", "ip", "setpriv")

BRIDGE, BRIDGE_ADDRESS = "flowproxytest0", "192.168.213.1/24"
SWARM_BRIDGE = "flowproxytest1"  # what Docker calls docker_gwbridge: the way out of overlay networks
PREFIX = "flowproxy-swarm-"  # of the temporary folders
BUILT_IN_NETWORKS = ("bridge", "host", "none", "ingress", "docker_gwbridge")


class CommandFailed(AssertionError):
    """A program ended with an error; the message holds what it printed."""


def run(*command: str, env: Mapping[str, str] | None = None, text: str = "", within: float = 60) -> str:
    """Runs a program and gives its standard output."""
    whole = {**os.environ, **(env or {})}
    done = subprocess.run(command, input=text, env=whole, capture_output=True, text=True, timeout=within, check=False)
    if done.returncode != 0:
        printed = _tail(done.stdout + done.stderr)
        raise CommandFailed(f"{' '.join(command)}: exit status {done.returncode}\n{printed}")
    return done.stdout


def missing_requirement() -> str | None:
    """What this machine lacks to run a Swarm, in one line."""
    if os.geteuid() != 0:
        return "a real Docker Swarm needs root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"a real Docker Swarm needs {', '.join(missing)}" if missing else None


class Swarm:
    """A Swarm of one node, as a user sees it: the SDK in `client` and `api`, the command in `docker()`."""

    def __init__(self, folder: Path, daemon: "Daemon", client: docker.DockerClient) -> None:
        self.folder = folder
        self.daemon = daemon
        self.socket = _socket(folder)
        self.host = f"unix://{self.socket}"
        self.client = client
        self.api: Any = client.api  # typed in part only

    def docker(self, *arguments: str, env: Mapping[str, str] | None = None, within: float = 120) -> str:
        """Runs the docker command against this daemon, without the user's own contexts and credentials."""
        own = {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "0",  # needs a plugin that not every package of Docker brings along
        }
        return run("docker", *arguments, env={**own, **(env or {})}, within=within)

    def tasks(self, service: str) -> list[dict[str, Any]]:
        """The tasks of a service that run and are to go on running."""
        tasks = self.api.tasks(filters={"service": service, "desired-state": "running"})
        return [task for task in tasks if task["Status"]["State"] == "running"]

    def containers(self, service: str, count: int = 1, within: float = 60) -> list[str]:
        """The containers of a service, as soon as it runs that many tasks."""

        def check() -> list[str]:
            tasks = self.tasks(service)
            assert len(tasks) == count, f"{service}: {len(tasks)} tasks run, not {count}: {self.why(service)}"
            return [task["Status"]["ContainerStatus"]["ContainerID"] for task in tasks]

        return eventually(check, within=within)

    def why(self, service: str) -> str:
        """The states of all of a service's tasks, for the message of a failed test."""
        states = [task["Status"] for task in self.api.tasks(filters={"service": service})]
        return "; ".join(f"{state['State']} {state.get('Err', '')}".strip() for state in states) or "no tasks"

    def logs(self, container: str) -> str:
        """What a container printed on both of its streams."""
        printed: bytes = self.api.logs(container)
        return printed.decode(errors="replace")

    def clear(self) -> None:
        """Removes every service and container, and what was made for them."""
        for service in self.api.services():
            self.api.remove_service(service["ID"])
        eventually(self._without_containers, within=60)
        eventually(self._without_leftovers, within=30)

    def _without_containers(self) -> bool:
        """Docker stops the containers of services by itself, in its own time: nobody needs their last requests."""
        running = self.api.containers(filters={"label": "com.docker.swarm.task.id"})
        for container in running:
            with suppress(docker.errors.APIError):  # it has ended meanwhile
                self.api.kill(container)
        assert not running, f"still running: {', '.join(container['Names'][0] for container in running)}"
        return True

    def _without_leftovers(self) -> bool:
        """What is in use for another moment refuses to be removed that long, hence again until it is gone."""
        for container in self.api.containers(all=True):
            self.api.remove_container(container["Id"], force=True, v=True)
        for config in self.api.configs():
            self.api.remove_config(config["ID"])
        for secret in self.api.secrets():
            self.api.remove_secret(secret["ID"])
        for volume in self.api.volumes()["Volumes"] or ():
            self.api.remove_volume(volume["Name"])
        own = [network for network in self.api.networks() if network["Name"] not in BUILT_IN_NETWORKS]
        for network in own:
            self.api.remove_network(network["Id"])
        return not own


@contextmanager
def running_swarm() -> Iterator[Swarm]:
    """Starts a daemon, makes it a Swarm, and takes all of it away again."""
    with ExitStack() as stack:
        _remove_leftovers()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_netfilter_kept())
        stack.enter_context(_bridges())
        daemon = stack.enter_context(_daemon(folder))
        swarm = Swarm(folder, daemon, stack.enter_context(_client(folder)))
        bridge = f"com.docker.network.bridge.name={SWARM_BRIDGE}"
        swarm.docker("network", "create", "--opt", bridge, "docker_gwbridge")
        swarm.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
        stack.callback(swarm.docker, "swarm", "leave", "--force")
        stack.callback(swarm.clear)
        yield swarm


class Daemon:
    """A dockerd of our own, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # Should this process be killed, the daemon still leaves in good order. The storage driver is Docker's own
        # choice: overlay2 where the file system can carry it.
        command = f"""
            setpriv --pdeathsig TERM
            dockerd --data-root {self._folder}/data --exec-root {self._folder}/exec --pidfile {self._folder}/docker.pid
            --host unix://{_socket(self._folder)} --bridge {BRIDGE} --shutdown-timeout 10
        """
        with (self._folder / "dockerd.log").open("ab") as output:
            self._process = subprocess.Popen(command.split(), stdout=output, stderr=output, start_new_session=True)
        eventually(self._listening, within=30)

    def stop(self) -> None:
        assert self._process
        self._process.terminate()
        try:
            self._process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)

    def _listening(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            log = (self._folder / "dockerd.log").read_text()
            raise RuntimeError(f"dockerd ended with status {self._process.returncode}:\n{_tail(log)}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(_socket(self._folder)))
        return True


@contextmanager
def _daemon(folder: Path) -> Iterator[Daemon]:
    daemon = Daemon(folder)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        _kill(_mentioning(str(folder)))
        _unmount_below(folder)


@contextmanager
def _client(folder: Path) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=f"unix://{_socket(folder)}", timeout=60)
    try:
        yield client
    finally:
        client.close()


def _socket(folder: Path) -> Path:
    return folder / "docker.sock"


def _remove_leftovers() -> None:
    """The folders of runs that were killed, whose daemons have left since."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not _mentioning(str(folder)):
            _unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _mentioning(text: str) -> list[int]:
    """Processes whose command line names our folder: what a daemon that had to be killed left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _unmount_below(folder: Path) -> None:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if Path(point).is_relative_to(folder):
            run("umount", "--lazy", point)


@contextmanager
def _bridges() -> Iterator[None]:
    _remove_bridges()  # those of a run that was killed
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", BRIDGE_ADDRESS, "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    try:
        yield
    finally:
        _remove_bridges()


def _remove_bridges() -> None:
    for bridge in (BRIDGE, SWARM_BRIDGE):
        if Path("/sys/class/net", bridge).exists():
            run("ip", "link", "delete", bridge)


@contextmanager
def _netfilter_kept() -> Iterator[None]:
    """Docker adds tables and chains, sets the policy of FORWARD to DROP, and turns forwarding on."""
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    forwarded = forwarding.read_text()
    families = [family for family in ("iptables", "ip6tables") if shutil.which(f"{family}-save")]
    before = {family: run(f"{family}-save") for family in families}
    try:
        yield
    finally:
        for family, tables in before.items():
            run(f"{family}-restore", text=_emptied(run(f"{family}-save"), keep=tables) + tables)
        forwarding.write_text(forwarded)


def _emptied(now: str, keep: str) -> str:
    """The tables that exist now and are not among those to keep, emptied, as iptables-restore reads them."""
    names = [line[1:] for line in now.splitlines() if line.startswith("*") and line not in keep.splitlines()]
    policy = {"filter": ":FORWARD ACCEPT [0:0]\n"}
    return "".join(f"*{name}\n{policy.get(name, '')}COMMIT\n" for name in names)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-40:])
