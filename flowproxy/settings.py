"""The settings, read once from the environment and from /run/secrets.

The names are Docker Flow Proxy's, in capitals; our own begin with FLOWPROXY_. A secret `dfp_<name>` wins over
the variable.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, AliasGenerator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from flowproxy.errors import InvalidSettings
from flowproxy.model import Flag, Port
from flowproxy.quoting import word

_SECRETS = Path("/run/secrets")
Seconds = Annotated[int, Field(ge=1, le=30 * 86400)]


def _items(value: object) -> object:
    return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value


Items = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)]


def _own(name: str) -> AliasChoices:
    return AliasChoices(f"FLOWPROXY_{name}", f"flowproxy_{name.lower()}")


class Settings(BaseSettings):
    """What the operator chose. Each description is the documentation of its variable."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        alias_generator=AliasGenerator(validation_alias=lambda n: AliasChoices(n.upper(), f"dfp_{n}")),
    )

    # The API and the traffic
    ip: str = Field("0.0.0.0", description="Address that the API listens on.")  # noqa: S104
    port: Port = Field(8080, description="Port of the API.")
    default_ports: Items = Field(
        ("80", "443:ssl"),
        description="Ports for traffic, separated by commas, each with HAProxy's bind options behind it.",
    )
    service_name: str = Field("proxy", description="Name of the proxy's own Swarm service.")
    separator: str = Field(",", description="What separates the items of a list in a parameter.")

    # How HAProxy treats requests
    connection_mode: Literal["http-keep-alive", "http-server-close", "httpclose", "http-pretend-keepalive"] = Field(
        "http-keep-alive",
        description="HAProxy's option for connections: http-keep-alive, http-server-close …",
    )
    timeout_connect: Seconds = Field(5, description="Seconds to wait for a connection to a task.")
    timeout_client: Seconds = Field(20, description="Seconds that a client may be silent.")
    timeout_server: Seconds = Field(20, description="Seconds that a task may be silent.")
    timeout_queue: Seconds = Field(30, description="Seconds that a request may wait for a free task.")
    timeout_tunnel: Seconds = Field(3600, description="Seconds that a WebSocket or other tunnel may be silent.")
    timeout_http_request: Seconds = Field(5, description="Seconds for a client to send its request's head.")
    timeout_http_keep_alive: Seconds = Field(15, description="Seconds to wait for a client's next request.")
    debug: Flag = Field(False, description="Whether every request is logged, not only those that failed.")
    reconfigure_attempts: int = Field(
        20, ge=1, description="Seconds that a reconfigure call waits for the service's name to resolve."
    )
    do_not_resolve_addr: Flag = Field(
        False,
        description="Whether a reconfigure call is accepted although the service's name does not resolve yet.",
    )
    healthcheck: Flag = Field(True, description="Whether the container's health check really checks.")

    # Ours
    state_dir: Path = Field(
        Path(".flowproxy"),
        validation_alias=_own("STATE_DIR"),
        description="Folder of everything that is written: the configuration, the sockets, the services put by API.",
    )
    haproxy: str = Field("haproxy", validation_alias=_own("HAPROXY"), description="The HAProxy program.")
    swarm: Literal["auto", "on", "off"] = Field(
        "auto",
        validation_alias=_own("SWARM"),
        description="Whether a Swarm is watched: auto does where a Docker socket exists or DOCKER_HOST is set.",
    )
    log_format: Literal["json", "text"] = Field(
        "text", validation_alias=_own("LOG_FORMAT"), description="json or text."
    )
    templates: Path | None = Field(
        None,
        validation_alias=_own("TEMPLATES"),
        description="Folder with templates and error pages (errors/503.http) that replace ours by name.",
    )
    errorfiles: Path = Field(
        Path("/errorfiles"),
        validation_alias=_own("ERRORFILES"),
        description="Folder with error pages named <status>.http that replace ours.",
    )
    resync_interval: Seconds = Field(
        60,
        validation_alias=_own("RESYNC_INTERVAL"),
        description="Seconds between full listings of the Swarm.",
    )
    hard_stop_after: Seconds = Field(
        300,
        validation_alias=_own("HARD_STOP_AFTER"),
        description="Seconds that connections live on in an old HAProxy worker after a reload.",
    )
    drain_timeout: Seconds = Field(
        30,
        validation_alias=_own("DRAIN_TIMEOUT"),
        description="Seconds that running requests get to finish when the controller is told to stop.",
    )
    label_prefix: str = Field(
        "com.df.", validation_alias=_own("LABEL_PREFIX"), description="What the names of labels begin with."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, file_secret_settings, env_settings

    @property
    def binds(self) -> tuple[str, ...]:
        """The arguments of the bind lines. Without a certificate, `:ssl` is a plain port, as users know it."""
        ports = (item.replace(":ssl", "").split() for item in self.default_ports)
        return tuple(" ".join([f"*:{port}", *map(word, options)]) for port, *options in ports)

    @property
    def bind_ports(self) -> tuple[int, ...]:
        return tuple(int(bind.split()[0].rpartition(":")[2]) for bind in self.binds)


def read_settings(secrets: Path = _SECRETS, **given: Any) -> Settings:
    """The settings of this process. Raises InvalidSettings with a line for each mistake."""
    try:
        settings = Settings(_secrets_dir=secrets if secrets.is_dir() else None, **given)
    except ValidationError as error:
        lines = []
        for wrong in error.errors():
            name = str(wrong["loc"][0])
            rule = wrong["msg"].removeprefix("Value error, ").removeprefix("Input ")
            lines.append(f"{_public_name(name)}: {str(wrong['input'])[:80]!r}: {rule}")
        raise InvalidSettings("\n".join(lines)) from None
    for item in settings.default_ports:
        port = item.replace(":ssl", "").split()[0]
        if not (port.isdigit() and 0 < int(port) < 65536):
            raise InvalidSettings(f"DEFAULT_PORTS: {item!r}: must begin with a port from 1 to 65535")
    return settings


def environment() -> dict[str, str]:
    """The variables of this process, for what is not one fixed name: DFP_SERVICE_* and those of the docker SDK."""
    return dict(os.environ)  # noqa: TID251 - the one place that reads it


def _public_name(name: str) -> str:
    return name if name.isupper() else name.upper()
