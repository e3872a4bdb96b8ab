from __future__ import annotations

import pytest

from flowproxy.settings.misspelt import misspelt


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TIMEOUT_SERVR", "TIMEOUT_SERVER"),
        ("DEFAULT_PORT", "DEFAULT_PORTS"),
        ("FLOWPROXY_SWARMS", "FLOWPROXY_SWARM"),
        ("DFP_STATS_PAS", "DFP_STATS_PASS"),
    ],
)
def test_the_right_name_of_a_misspelt_variable_is_found(variable: str, meant: str) -> None:
    assert misspelt([variable]) == {variable: meant}


def test_variables_of_other_programs_are_ignored() -> None:
    others = ["PATH", "HOME", "USER", "LANG", "HOSTNAME", "DOCKER_HOST", "IPS", "PORT", "DFP_SERVICE_1_PORT"]

    assert misspelt(others) == {}
