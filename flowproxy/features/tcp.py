"""TCP connections: groups of services on one port, and the timeout of clients."""

from __future__ import annotations

from pydantic import Field, SecretStr

from flowproxy.features.feature import Change, Feature, Parameters, Raw
from flowproxy.text.safe_lines import check_balance
from flowproxy.text.values import Duration, Flag, Line, Name


class OfDestination(Parameters):
    """A port for tcp or sni, alone or with a group."""

    clitcpka: Flag = Field(
        False, description="Whether TCP keep-alive is on towards clients of a tcp destination.", examples=["true"]
    )
    service_group: Name | None = Field(
        None,
        description="Tcp destinations of one group share one port and one backend, whose settings are those of the"
        " oldest member. A group is joined by services of its oldest member's stack, and by others with its"
        " `groupToken`.",
        examples=["databases", "caches"],
    )
    group_token: SecretStr | None = Field(
        None,
        description="A secret that services of different stacks, or of none, share in order to be one group.",
        examples=["long-and-random", "longer-and-random"],
    )
    balance_group: Line | None = Field(
        None, description="HAProxy's balance algorithm for the group.", examples=["leastconn", "source"]
    )
    timeout_client: Duration | None = Field(
        None, description="How long a client of tcp or sni may be silent, in seconds.", examples=["600", "10m"]
    )


FEATURE = Feature(
    name="tcp",
    destination=OfDestination,
    modes=("tcp",),
    changes={"groupToken": Change.NOTHING},
    raw={"balanceGroup": Raw(check_balance, is_configuration=lambda value: False)},
)
