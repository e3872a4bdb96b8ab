"""The fields of an answer for those parameters of the features that Docker Flow Proxy does not have."""

from __future__ import annotations

from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Field, SecretStr, create_model

from flowproxy.features import Parameters
from flowproxy.text.secrets import is_secret

B = TypeVar("B", bound=BaseModel)


def with_parameters(base: type[B], *groups: type[Parameters]) -> type[B]:
    """Return the model with a field for each parameter of the groups that it lacks and that may be shown.

    A field has the name of the parameter, beginning with a capital. It is a boolean, a number, a list of texts or a
    text, as the parameter is, and without a value it is false, 0 or empty.
    """
    fields: dict[str, Any] = {}
    for group in groups:
        for public, name in group.by_public_name().items():
            annotation = group.model_fields[name].annotation
            if name not in base.model_fields and not is_secret(public) and not _holds_secret(annotation):
                kind = _shown_as(annotation)
                alias = public[0].upper() + public[1:]
                field = Field(default_factory=kind, alias=alias, description=f"The parameter `{public}`.")
                fields[name] = (kind, field)
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, __module__=base.__module__, **fields)


def _shown_as(annotation: Any) -> Any:
    kinds = {get_origin(kind) or kind for kind in _alternatives(annotation)}
    if kinds == {tuple}:
        return list[str]
    return next((kind for kind in (bool, int) if kinds == {kind}), str)


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))


def _alternatives(annotation: Any) -> list[Any]:
    """Return what an annotation allows besides None, without what is only said about it."""
    if hasattr(annotation, "__metadata__"):
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) if part is not type(None) for kind in _alternatives(part)]
    return [annotation]
