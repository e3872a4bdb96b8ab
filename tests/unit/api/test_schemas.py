"""The names that clients of Docker Flow Proxy know, and a description of every field."""

from __future__ import annotations

import inspect

import pytest
from pydantic import BaseModel, RootModel

from flowproxy.api import schemas
from flowproxy.api.schemas import CallAnswer, CertificatesAnswer, DestinationFields, Error, Schema, ServiceFields

MODELS = [
    model
    for _, model in inspect.getmembers(schemas, inspect.isclass)
    if issubclass(model, BaseModel) and model.__module__ == schemas.__name__ and "[" not in model.__name__
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert inspect.getdoc(model)
    if not issubclass(model, RootModel):
        assert [name for name, field in model.model_fields.items() if not field.description] == []
    assert model.model_json_schema(by_alias=True)["description"]


def test_a_call_is_answered_with_status_and_message_first_and_every_key() -> None:
    keys = list(CallAnswer(status="OK").model_dump(by_alias=True))

    assert keys[:4] == ["Status", "Message", "ServiceName", "AclName"]
    assert keys[-3:] == ["ServiceDest", "Conflicts", "Overlaps"]
    of_features = ServiceFields.model_fields.keys() - schemas._KnownOfService.model_fields.keys() - {"service_dest"}
    assert len(keys) == 42 + len(of_features)


def test_unusual_capitals_are_kept() -> None:
    keys = DestinationFields().model_dump(by_alias=True).keys()

    assert {"CheckTCP", "IncludeSrcPortACL", "IncludeSrcHttpsPortACL", "SslVerifyNone", "UserAgent"} <= keys
    assert CertificatesAnswer(status="OK").model_dump(by_alias=True) == {"Status": "OK", "Message": "", "Certs": None}


def test_no_answer_has_a_field_that_is_not_described() -> None:
    assert all(model.model_config.get("extra") == "forbid" for model in MODELS if issubclass(model, Schema))
    with pytest.raises(ValueError, match="Extra inputs"):
        Error.model_validate({"error": "a", "more": "b"})
