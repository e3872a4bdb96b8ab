"""A real Swarm of three managers on one machine, each with a network, mounts and a host name of its own.

A switch of their own joins them. Whoever enters the network `SWITCH` reaches every node by its address.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
import psutil
from namespaces import run
from support import eventually
from swarm.testbed import Daemon, Swarm, _kill, _mentioning, _unmount_below

PREFIX = "flowproxy-cluster-"
SWITCH = f"fp-switch-{os.getpid()}"
SOCKET = Path("/run/docker.sock")  # of each node, in mounts of its own
_PROGRAMS = ("dockerd", "containerd")


class Node(Daemon):
    """One machine of the cluster. `swarm` is its daemon as a user sees it."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name = f"fp-node{number}-{os.getpid()}"
        self.address = f"10.77.0.{number}"
        super().__init__(folder)
        self.folder = folder
        folder.mkdir()
        self._number = number
        self._client = docker.DockerClient(base_url=f"unix://{folder}/docker.sock", timeout=60, version="1.41")
        self.swarm = Swarm(folder, self, self._client)

    def plug_in(self) -> None:
        run(f"ip netns add {self.name}")
        run(f"ip -n {self.name} link set lo up")
        run(f"ip -n {self.name} link add cable type veth peer name port{self._number} netns {SWITCH}")
        run(f"ip -n {self.name} address add {self.address}/24 dev cable")
        run(f"ip -n {self.name} link set cable up")
        run(f"ip -n {self.name} route add default via 10.77.0.254")
        run(f"ip -n {SWITCH} link set port{self._number} master switch up")

    def start(self) -> None:
        """Starts the daemon, also one that was killed, and returns when it answers."""
        (self.folder / "docker.pid").unlink(missing_ok=True)
        program = f"""
            mount -t tmpfs tmpfs /run && hostname {self.name} && exec dockerd --data-root {self.folder}/data
            --exec-root {self.folder}/exec --pidfile {self.folder}/docker.pid --host unix://{self.folder}/docker.sock
            --host unix://{SOCKET} --bip 172.2{self._number}.0.1/16 --shutdown-timeout 10
        """
        enter = f"nsenter --net=/run/netns/{self.name} unshare --mount --uts --propagation private sh -c"
        with (self.folder / "dockerd.log").open("ab") as log:
            command = [*enter.split(), " ".join(program.split())]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        eventually(self._listening, within=60)

    def ask_to_stop(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the daemons at once. The containers go on, but the others cannot reach them any more."""
        for process in psutil.process_iter(["name", "cmdline"]):
            ours = str(self.folder) in " ".join(process.info["cmdline"] or ())
            if ours and process.info["name"] in _PROGRAMS:
                process.kill()
        assert self._process
        self._process.wait(timeout=20)

    def unplug(self) -> None:
        """Cuts the node off from the others."""
        run(f"ip -n {SWITCH} link set port{self._number} down")

    def replug(self) -> None:
        run(f"ip -n {SWITCH} link set port{self._number} up")

    def clear(self) -> None:
        self._client.close()
        for process in _mentioning(str(self.folder)):
            try:
                _kill(child.pid for child in psutil.Process(process).children(recursive=True))
            except psutil.NoSuchProcess:
                continue
        _kill(_mentioning(str(self.folder)))
        _unmount_below(self.folder)
        subprocess.run(["ip", "netns", "delete", self.name], check=False, timeout=20)


@contextmanager
def running_cluster(images: list[Path], count: int = 3) -> Iterator[list[Node]]:
    """Starts so many managers with images from files, and takes all of it away again."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        run(f"ip netns add {SWITCH}")
        stack.callback(run, f"ip netns delete {SWITCH}")
        run(f"ip -n {SWITCH} link set lo up")
        run(f"ip -n {SWITCH} link add switch type bridge")
        run(f"ip -n {SWITCH} address add 10.77.0.254/24 dev switch")
        run(f"ip -n {SWITCH} link set switch up")
        nodes = [Node(number, folder / str(number)) for number in range(1, count + 1)]
        for node in nodes:
            stack.callback(node.clear)
            node.plug_in()
            node.start()
            for image in images:
                node.swarm.docker("load", "--input", str(image), within=300)
        first, *others = nodes
        own = f"--advertise-addr {first.address} --listen-addr {first.address}:2377"
        first.swarm.docker("swarm", "init", *own.split())
        token = first.swarm.docker("swarm", "join-token", "--quiet", "manager").strip()
        for node in others:
            own = f"--advertise-addr {node.address} --listen-addr {node.address}:2377 --token {token}"
            node.swarm.docker("swarm", "join", *own.split(), f"{first.address}:2377")
        yield nodes
