"""The settings of this process, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from flowproxy.features import Defaults
from flowproxy.services.model import Service
from flowproxy.services.users import complete
from flowproxy.settings.groups import (
    ControllerSettings,
    LifecycleSettings,
    ListenerSettings,
    RequestSettings,
    SafetySettings,
    TlsSettings,
    TrafficSettings,
)
from flowproxy.text.lines import Level
from flowproxy.text.quoting import word


class Surroundings(NamedTuple):
    """What is read at the start beside the settings themselves.

    Attributes:
        environment: all variables of the process.
        secrets: the folder of secrets.
        user_secrets: the content of each secret `dfp_users_<name>`, by that name.
    """

    environment: Mapping[str, str]
    secrets: Path
    user_secrets: Mapping[str, str]


# The groups of fields, the first one last: this is the order of bases in which pydantic lists fields first to last.
class Settings(
    LifecycleSettings,
    SafetySettings,
    ControllerSettings,
    ListenerSettings,
    RequestSettings,
    TlsSettings,
    TrafficSettings,
):
    """What the operator chose."""

    _surroundings: Surroundings = PrivateAttr(Surroundings({}, Path("/run/secrets"), {}))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let secrets win over variables."""
        return init_settings, file_secret_settings, env_settings

    def within(self, surroundings: Surroundings) -> Settings:
        """Return the same settings with what else was read at the start."""
        settings = self.model_copy()
        settings._surroundings = surroundings
        return settings

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of this process when it started."""
        return self._surroundings.environment

    @property
    def secrets(self) -> Path:
        """The folder of secrets."""
        return self._surroundings.secrets

    @property
    def user_secrets(self) -> Mapping[str, str]:
        """The content of each secret `dfp_users_<name>`, by that name."""
        return self._surroundings.user_secrets

    @property
    def advice(self) -> str | None:
        """What the operator should say about proxies in front; None if nothing is missing."""
        if self.trusted_proxies is not None:
            return None
        return (
            "FLOWPROXY_TRUSTED_PROXIES is not set, so that anybody may begin X-Forwarded-For: name the networks of the"
            " load balancers in front, or `none`"
        )

    def takes(self, service: Service) -> bool:
        """Return whether the service is for this proxy, among several that share a Swarm."""
        ours = (service.proxy_instance_name or "").lower() == self.proxy_instance_name.lower()
        return ours or not self.filter_proxy_instance_name

    @property
    def signing_key(self) -> bytes | None:
        """The key that replicas sign their calls with."""
        key = self.key or self.api_token
        return key.get_secret_value().encode() if key else None

    # What services get when they do not say

    @property
    def defaults(self) -> Defaults:
        """The defaults of services from labels, and of those that an API call made before a restart."""
        return self._defaults(self.raw_config or "safe")

    @property
    def defaults_for_calls(self) -> Defaults:
        """The defaults of services from API calls."""
        return self._defaults(self.raw_config or ("safe" if self.api_token else "none"))

    @property
    def defaults_for_environment(self) -> Defaults:
        """The defaults of services from the environment, which are the operator's own."""
        return self._defaults("none" if self.raw_config == "none" else "all")

    def _defaults(self, raw: Level) -> Defaults:
        return Defaults(
            separator=self.separator,
            https_only=self.https_only,
            service_domain_algo=self.service_domain_algo,
            req_mode=self.default_req_mode,
            raw=raw,
            users=self._users_with_password,
            secret_users=self._users_of_secrets,
            client_certificates=self.asks_for_client_certificates,
            proxies_known=self.trusted_proxies is not None,
        )

    @cached_property
    def _users_with_password(self) -> frozenset[str]:
        return _names(self.users)

    @cached_property
    def _users_of_secrets(self) -> dict[str, frozenset[str]]:
        return {name: _names(content) for name, content in self.user_secrets.items()}

    # Ports and certificates

    @property
    def asks_for_client_certificates(self) -> bool:
        """Whether clients are asked for a certificate, which the operator's own lists and bind options may do too."""
        own = self.crt_list_path or self.cfg_template_path or self.templates
        options = (*self.default_ports, *self.bind_ports)
        return bool(self.ca_file or own) or any("ca-file" in item for item in options)

    def binds(self, *, certified: bool) -> tuple[tuple[int, str], ...]:
        """Return the port and the further arguments of each bind line. Without a certificate `:ssl` is ignored."""
        tls = ""
        if certified:
            tls = f" ssl crt-list {word(self.crt_list)} alpn {'h2,' if self.enable_h2 else ''}http/1.1"
            tls += f" ca-file {word(self.ca_file)} verify optional" if self.ca_file else ""
        binds = []
        for item in (*self.default_ports, *self.bind_ports):
            port, *options = item.replace(":ssl", " :ssl").split()
            arguments = [tls if option == ":ssl" else f" {word(option)}" for option in options]
            binds.append((int(port), "".join(arguments)))
        return tuple(binds)

    def http_ports(self, *, certified: bool) -> dict[int, bool]:
        """Return the ports of http routes and of the statistics, each with whether it uses TLS."""
        own = {} if self.stats_port is None else {self.stats_port: False}
        return own | {port: " ssl " in options for port, options in self.binds(certified=certified)}

    @property
    def traffic_ports(self) -> tuple[int, ...]:
        """The ports for traffic."""
        return tuple(port for port, _ in self.binds(certified=False))

    @property
    def stats_on_traffic(self) -> bool:
        """Whether the statistics page is on the ports for traffic."""
        shown = self.stats_user and self.stats_pass
        return bool(shown) and (self.stats_port is None or self.stats_port in self.traffic_ports)

    @property
    def uses_certificates(self) -> bool:
        """Whether any port uses our list of certificates."""
        return self.crt_list_path is None and any(":ssl" in item for item in (*self.default_ports, *self.bind_ports))

    @property
    def with_certificates(self) -> Settings:
        """The same settings with one port that uses certificates, to check them before any other port does."""
        return self.model_copy(update={"default_ports": ("443:ssl",), "bind_ports": (), "crt_list_path": None})

    @property
    def crt_list(self) -> Path:
        """The path of the list of certificates, as HAProxy knows it."""
        return self.crt_list_path or self.state_dir / "crt-list.txt"


def _names(users: str) -> frozenset[str]:
    return frozenset(user.name.lower() for user in complete(users, encrypted=False))
