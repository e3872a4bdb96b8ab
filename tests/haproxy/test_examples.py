"""Every example in the documentation does what its page says: deployed by labels, called with curl."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import make_certificate
from controller import Tls
from echo import StartEcho, echoes
from examples import Call, Example, StackService, interpolate, matches, read_page
from support import free_port

from flowproxy.sources.swarm.listing import as_service, parameters_of

DOCS = Path(__file__).parent.parent.parent / "docs"
FEATURES = sorted(page for page in (DOCS / "features").glob("*.md") if page.name != "README.md")
PAGES = [DOCS.parent / "README.md", *sorted((DOCS / "guide").glob("*.md")), *sorted((DOCS / "features").glob("*.md"))]
EXAMPLES = [
    pytest.param(example, id=f"{page.relative_to(DOCS.parent)}:{example.line}")
    for page in PAGES
    for example in read_page(page.read_text())
]

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed: apt-get install curl")


class Stage:
    """A controller, and what the examples take for granted: echoes, certificates, a secret, ports under other names."""

    def __init__(self, controller: Tls, start_echo: StartEcho, folder: Path) -> None:
        self._controller = controller
        self._start_echo = start_echo
        self._folder = folder
        self._echoes: dict[tuple[str, str], int] = {}
        self._ports = {"80": controller.traffic, "443": controller.tls, "8080": controller.port, "8000": free_port()}
        self._variables: dict[str, str] = {}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def begin(self) -> None:
        self._write("certs/localhost.pem", make_certificate("localhost", "shop.example.org")[0])
        self._write("secrets/dfp_users_team", "ann:secret")
        client = make_certificate("ann")[0]
        self._write("ann.pem", client)
        self._write("authority.pem", client.partition("\n\n")[0])
        certificate = make_certificate("private.example.org")[0]
        self._write("private.pem", certificate)
        self._variables["PRIVATE_CERTIFICATE"] = certificate.replace("\n", "\\n")
        self._tls.load_cert_chain(self._write("echo.pem", make_certificate("echo")[0]))
        self._controller.begin(BIND_PORTS=str(self._ports["8000"]), CA_FILE=str(self._folder / "authority.pem"))

    def deploy(self, example: Example) -> None:
        for path, text in example.files.items():
            self._write(path.lstrip("/"), text)
        for name, service in example.services.items():
            answer = self._controller.api("/v1/docker-flow-proxy/reconfigure", **self._parameters(name, service))
            assert answer.status == 200, f"{name}: {answer.text}"

    def call(self, call: Call) -> str:
        routed = [f":{shown}:127.0.0.1:{real}" for shown, real in self._ports.items()] + ["::127.0.0.1:"]
        options = [option for route in routed for option in ("--connect-to", route)]
        command = ["curl", "-q", "-sS", "--max-time", "10", *options, *call.arguments[1:]]
        finished = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=20, check=False)
        return self._as_shown(finished.stdout + finished.stderr)

    def clear(self) -> None:
        for name in self._controller.api("/v1/config", type="json").json:
            assert self._controller.api("/v1/remove", serviceName=name).status == 200

    def _parameters(self, name: str, service: StackService) -> dict[str, str]:
        """Return the parameters that the Swarm source would pass on, with the ports and addresses of this machine."""
        labels = {key: interpolate(value, self._variables) for key, value in service.labels.items()}
        assert labels.get("com.df.notify") == "true", f"{name} is not routed without com.df.notify"
        spec = {"Name": name, "Labels": labels, "Mode": {"Replicated": {"Replicas": service.replicas}}}
        listed = as_service({"ID": name, "Spec": spec, "CreatedAt": "2026-01-01T00:00:00Z"})
        given = parameters_of(listed, name, "com.df.")
        host = given.get("outboundHostname", name)
        secured = given.get("sslVerifyNone") == "true" or given.get("reqMode") == "sni"
        real = {key: self._real(key, value, host, secured) for key, value in given.items()}
        return {**real, "outboundHostname": "127.0.0.1"}

    def _real(self, key: str, value: str, host: str, secured: bool) -> str:
        base = key.partition(".")[0]
        if base in ("port", "httpsPort"):
            if (host, value) not in self._echoes:
                context = self._tls if secured else None
                self._echoes[host, value] = self._start_echo(f"{host} on port {value}", context)
            return str(self._echoes[host, value])
        if base in ("srcPort", "srcHttpsPort"):
            if value not in self._ports:
                self._ports[value] = free_port()
            return str(self._ports[value])
        return f"{self._folder}{value}" if base.startswith("template") else value

    def _as_shown(self, output: str) -> str:
        shown = {str(real): port for port, real in self._ports.items()}
        shown |= {str(real): port for (_, port), real in self._echoes.items()}
        output = output.replace(str(self._folder), "")
        return re.sub(r"\b\d{5}\b", lambda found: shown.get(found[0], found[0]), output)

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("examples")
    controller = Tls(folder / "state")
    with echoes() as start_echo:
        try:
            stage = Stage(controller, start_echo, folder)
            stage.begin()
            yield stage
        finally:
            controller.end()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_does_what_its_page_says(stage: Stage, example: Example) -> None:
    try:
        stage.deploy(example)
        for call in example.calls:
            output = stage.call(call)
            expected = "\n".join(call.expected)
            assert matches(call.expected, output), f"{call.arguments}\nexpected:\n{expected}\ngot:\n{output}"
    finally:
        stage.clear()


def test_every_feature_has_a_page_with_an_example() -> None:
    without = [page.name for page in FEATURES if not any(example.calls for example in read_page(page.read_text()))]

    assert FEATURES
    assert without == []


def test_every_feature_page_is_listed() -> None:
    listed = (DOCS / "features" / "README.md").read_text()

    assert [page.name for page in FEATURES if f"]({page.name})" not in listed] == []
