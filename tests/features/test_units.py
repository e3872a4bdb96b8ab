"""Every feature has its four files, says what its parameters are, and costs what it says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from featured import PLAIN, cost

from flowproxy import features
from flowproxy.features import FEATURES, DestinationParameters, Feature, ServiceParameters
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS, parse

ROOT = Path(__file__).parents[2]
PARAMETERS = [(feature, parameter) for feature in FEATURES for parameter in feature.parameters]
# What a parameter has no effect without.
_TCP = {"reqMode": "tcp", "srcPort": "9000"}
NEEDS = {
    "redirectFromDomain": {"serviceDomain": "example.com"},
    "httpsRedirectCode": {"httpsOnly": "true"},
    "compressionType": {"compressionAlgo": "gzip"},
    "usersPassEncrypted": {"users": "ada:engine"},
    "ignoreAuthorization": {"users": "ada:engine"},
    "isDefaultBackend": {"servicePath": "/shop"},
    "serviceDomainAlgo": {"serviceDomain": "example.com"},
    "reqMode": {"srcPort": "9000"},
    "serviceGroup": _TCP,
    "groupToken": {**_TCP, "serviceGroup": "databases"},
    "balanceGroup": {**_TCP, "serviceGroup": "databases"},
    "clitcpka": _TCP,
    "timeoutClient": _TCP,
    "checkTcp": _TCP,
    "debugFormat": {**_TCP, "debug": "true"},
    "srcHttpsPort": {"httpsPort": "8443"},
}
# Their values are files, secrets, or more than this table can hold.
ELSEWHERE = {"serviceCert", "templateFePath", "templateBePath", "usersSecret"}


def each(feature: Feature) -> str:
    return feature.name


@pytest.mark.parametrize("feature", FEATURES, ids=each)
def test_a_feature_is_a_module_with_tests_and_a_guide_page(feature: Feature) -> None:
    module = importlib.import_module(f"flowproxy.features.{feature.name}")
    page = ROOT / "docs" / "features" / f"{feature.name.replace('_', '-')}.md"

    assert module.FEATURE is feature
    assert (ROOT / "tests" / "features" / f"test_{feature.name}.py").is_file()
    assert page.is_file()
    assert [name for name in feature.parameters if name not in page.read_text()] == []


def test_every_module_is_in_the_list() -> None:
    modules = {path.stem for path in Path(features.__file__).parent.glob("*.py")} - {"__init__", "feature"}

    assert modules == {feature.name for feature in FEATURES}


def test_every_template_of_a_backend_is_that_of_a_feature() -> None:
    shared = {"share"}
    templates = {path.name.partition(".")[0] for path in (ROOT / "templates" / "backend").iterdir()} - shared

    assert templates == {feature.name for feature in FEATURES if feature.modes}


def test_a_service_is_composed_of_all_features() -> None:
    by_service = [name for f in FEATURES if f.service for name in f.service.model_fields]
    by_destination = [name for f in FEATURES if f.destination for name in f.destination.model_fields]

    assert sorted(by_service) == sorted(ServiceParameters.model_fields)
    assert sorted([*by_destination, "index"]) == sorted(DestinationParameters.model_fields)
    assert not set(by_service) & set(by_destination)
    assert set(SERVICE_PARAMETERS.values()) == {"service_name", *by_service}
    assert set(DESTINATION_PARAMETERS.values()) == set(by_destination)


@pytest.mark.parametrize("feature", FEATURES, ids=each)
def test_what_a_feature_says_of_parameters_is_about_its_own(feature: Feature) -> None:
    said = {*feature.changes, *feature.most, *feature.raw, *feature.protects}

    assert said <= feature.parameters.keys()


@pytest.mark.parametrize(("feature", "parameter"), PARAMETERS, ids=lambda value: str(getattr(value, "name", value)))
def test_every_parameter_has_a_description_and_a_valid_example(feature: Feature, parameter: str) -> None:
    group = (
        feature.service if feature.service and parameter in feature.service.by_public_name() else feature.destination
    )
    assert group
    field = group.model_fields[feature.parameters[parameter]]

    assert field.description
    assert field.examples
    for example in field.examples if parameter != "serviceCert" else ():
        parse({**PLAIN, **NEEDS.get(parameter, {}), parameter: example})


@pytest.mark.parametrize(
    ("feature", "parameter"),
    [(feature, parameter) for feature, parameter in PARAMETERS if parameter not in ELSEWHERE],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_another_value_costs_what_the_feature_says(feature: Feature, parameter: str) -> None:
    group = (
        feature.service if feature.service and parameter in feature.service.by_public_name() else feature.destination
    )
    assert group
    examples = group.model_fields[feature.parameters[parameter]].examples or []
    needed = NEEDS.get(parameter, {})
    values = [{**needed, parameter: example} for example in examples]
    before, after = values if len(values) > 1 else (needed, *values)

    assert cost(before, after) == feature.cost(parameter)
