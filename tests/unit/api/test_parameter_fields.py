"""Every parameter that is no secret is in the answer about a service, without a line for it in the schemas."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, SecretStr

from flowproxy.api.descriptions import service_fields
from flowproxy.api.parameter_fields import with_parameters
from flowproxy.api.schemas import DestinationFields, ServiceFields
from flowproxy.features import FEATURES, Parameters
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS, parse
from flowproxy.text.secrets import is_secret

SPELLED_OTHERWISE = {"checkTcp": "CheckTCP"}


class Group(Parameters):
    switch: bool = False
    number: int | None = None
    texts: tuple[str, ...] = ()
    kind: str | None = None
    hidden: SecretStr | None = None
    api_token: str | None = None


@pytest.mark.parametrize(
    ("schema", "parameters"), [(ServiceFields, SERVICE_PARAMETERS), (DestinationFields, DESTINATION_PARAMETERS)]
)
def test_every_parameter_that_is_no_secret_has_a_field(schema: type[BaseModel], parameters: dict[str, str]) -> None:
    aliases = {field.alias for field in schema.model_fields.values()}
    names = [SPELLED_OTHERWISE.get(name, name[0].upper() + name[1:]) for name in parameters if not is_secret(name)]

    assert [name for name in names if name not in aliases] == []


def test_what_is_kept_as_a_secret_is_known_as_one_by_its_name() -> None:
    groups = [group for feature in FEATURES for group in (feature.service, feature.destination) if group]
    kept = [
        public
        for group in groups
        for public, name in group.by_public_name().items()
        if "SecretStr" in str(group.model_fields[name].annotation)
    ]

    assert {"serviceCert", "groupToken"} <= set(kept)
    assert [public for public in kept if not is_secret(public)] == []


def test_a_field_is_of_the_kind_of_its_parameter_and_secrets_have_none() -> None:
    model = with_parameters(BaseModel, Group)

    assert model().model_dump(by_alias=True) == {"Switch": False, "Number": 0, "Texts": [], "Kind": ""}


def test_values_of_features_are_shown() -> None:
    given = {"servicePath": "/shop", "port": "80", "stripPrefix": "true", "maxBody": "10m", "shareHost": "true"}
    shown = service_fields(parse({"serviceName": "web"} | given)).model_dump(by_alias=True)
    (destination,) = shown["ServiceDest"]

    assert shown["ShareHost"] is True
    assert (destination["StripPrefix"], destination["MaxBody"]) == (True, "10m")
    assert destination["ServiceProtocol"] == "http1"
