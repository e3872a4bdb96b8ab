"""The images the tests run: a base made without a registry, ours from docker/Dockerfile, and an origin.

What is made of packages only is kept between runs, since making it takes most of a minute; our own code is
built anew every time.
"""

import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from swarm.testbed import Swarm, run

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "docker" / "Dockerfile"
LOCKS = [REPOSITORY / name for name in ("requirements.lock", "requirements-build.lock")]

BASE = "debian:trixie-slim"
FLOWPROXY = "flowproxy:test"
ORIGIN = "flowproxy-origin:test"
FILTER = "flowproxy-filter:test"
STAGES = {name: f"flowproxy-{name}:test" for name in ("runtime", "libraries")}  # without our own code

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
AUTHORITIES_IN_BASE = "etc/authorities-of-the-machine.pem"  # installing ca-certificates rewrites the bundle


def load_base(swarm: Swarm) -> str:
    """Makes `debian:trixie-slim`, without a registry where the machine knows a Debian mirror."""
    kept = _cache() / f"debian-trixie-slim-{platform.machine()}.tar"
    if kept.exists():
        swarm.docker("load", "--input", str(kept))
    elif (mirror := _debian_mirror()) is not None:
        _bootstrap(swarm, mirror)
        _keep(swarm, [BASE], kept)
    else:
        swarm.docker("pull", BASE)
    return BASE


def build_flowproxy(swarm: Swarm) -> str:
    """Builds docker/Dockerfile from the repository as it is now."""
    _load_stages(swarm)
    known = [f"--cache-from={image}" for image in STAGES.values()]
    _build(swarm, FLOWPROXY, DOCKERFILE, REPOSITORY, *known)
    return FLOWPROXY


def build_origin(swarm: Swarm) -> str:
    """Builds tests/swarm/origin.py on the stage that has Python, and nothing of ours."""
    return _build_program(swarm, ORIGIN, "origin.py", "nobody")


def build_filter(swarm: Swarm) -> str:
    """Builds tests/swarm/filter.py likewise, as the root that the Docker socket belongs to."""
    return _build_program(swarm, FILTER, "filter.py", "root")


def _build_program(swarm: Swarm, image: str, program: str, user: str) -> str:
    _load_stages(swarm)
    context = swarm.folder / program.removesuffix(".py")
    context.mkdir()
    shutil.copy(Path(__file__).with_name(program), context)
    recipe = f'FROM {STAGES["runtime"]}\nCOPY {program} /\nUSER {user}\nENTRYPOINT ["python3", "/{program}"]\n'
    (context / "Dockerfile").write_text(recipe)
    _build(swarm, image, context / "Dockerfile", context)
    return image


def _bootstrap(swarm: Swarm, mirror: str) -> None:
    root = swarm.folder / "root"
    run("debootstrap", "--variant=minbase", "trixie", str(root), mirror, within=600)
    changes = ["CMD bash"]
    if AUTHORITIES.exists():  # a machine behind an inspecting proxy trusts more than a new Debian does
        shutil.copy(AUTHORITIES, root / AUTHORITIES_IN_BASE)
        changes.append(f"ENV PIP_CERT=/{AUTHORITIES_IN_BASE}")
    for leftover in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / leftover)
        (root / leftover).mkdir()
    tarball = swarm.folder / "root.tar"
    run("tar", "-C", str(root), "-cf", str(tarball), ".")
    swarm.docker("import", *(f"--change={change}" for change in changes), str(tarball), BASE)
    shutil.rmtree(root)
    tarball.unlink()


def _debian_mirror() -> str | None:
    """The mirror that the machine itself installs from."""
    if shutil.which("apt-get") is None:
        return None
    targets = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    pairs = [line.partition(" ") for line in targets.splitlines()]
    return next((address for label, _, address in pairs if label == "Debian"), None)


def _load_stages(swarm: Swarm) -> None:
    """The stages of our Dockerfile that hold packages only, kept under a digest of what makes them."""
    if swarm.api.images(name=STAGES["libraries"], quiet=True):
        return
    base = swarm.api.inspect_image(BASE)["Id"].encode()
    digest = hashlib.sha256(base + DOCKERFILE.read_bytes() + b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()[
        :16
    ]
    kept = _cache() / f"stages-{digest}.tar"
    if kept.exists():
        swarm.docker("load", "--input", str(kept))
        return
    for name, image in STAGES.items():
        _build(swarm, image, DOCKERFILE, REPOSITORY, f"--target={name}")
    for old in _cache().glob("stages-*.tar"):
        old.unlink()
    _keep(swarm, [BASE, *STAGES.values()], kept)


def _build(swarm: Swarm, image: str, recipe: Path, context: Path, *options: str) -> None:
    command = ("build", "--network", "host", "--tag", image, "--file", str(recipe), *options, str(context))
    swarm.docker(*command, within=900)


def _keep(swarm: Swarm, images: Sequence[str], file: Path) -> None:
    """Saves images for the next run; under another name first, so that a partial file is never used."""
    partial = file.with_suffix(f".{os.getpid()}")
    swarm.docker("save", "--output", str(partial), *images)
    partial.replace(file)


def _cache() -> Path:
    """Where images stay between runs; delete it to start from the packages of today."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowproxy-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
