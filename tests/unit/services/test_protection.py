"""What looks like protection is understood, or the service is refused."""

from __future__ import annotations

import pytest

from flowproxy.errors import InvalidService
from flowproxy.features import Defaults
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS, parse
from flowproxy.services.protection import guarded_by
from flowproxy.sources.environment import unguarded

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
TCP = {"serviceName": "db", "reqMode": "tcp", "srcPort": "5432", "port": "5432"}
KNOWN = (*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS)
DEFAULTS = Defaults(
    users=frozenset({"root"}),
    secret_users={"mine": frozenset({"admin"}), "empty": frozenset()},
    client_certificates=False,
)

PROTECTING = {
    "usr": "users",
    "user": "users",
    "User": "users",
    "userz": "users",
    "xusers": "users",
    "users.2": "users",
    "users.0": "users",
    "users.x": "users",
    "users_": "users",
    "basicAuth": "users",
    "basic-auth": "users",
    "basicauth.users": "users",
    "auth": "users",
    "authorization": "users",
    "password": "users",
    "userSecret": "usersSecret",
    "users-secret": "usersSecret",
    "usersSecrets": "usersSecret",
    "usersSecret.1": "usersSecret",
    "usersFile": "users",
    "usersPass": "usersPassEncrypted",
    "ignoreAuth": "ignoreAuthorization",
    "ignoreAuthorisation": "ignoreAuthorization",
    "allowedmethods": "allowedMethods",
    "allowedMethod": "allowedMethods",
    "allowed_methods": "allowedMethods",
    "allowMethods": "allowedMethods",
    "allowedMethods.0": "allowedMethods",
    "allowedMethods.x": "allowedMethods",
    "methods": "allowedMethods",
    "deniedMethod": "deniedMethods",
    "denyHTTP": "denyHttp",
    "denyHttps": "denyHttp",
    "httpOnly": "httpsOnly",
    "https-only": "httpsOnly",
    "forceHttps": "httpsOnly",
    "sslOnly": "httpsOnly",
    "verifyClientSSL": "verifyClientSsl",
    "verifyClient": "verifyClientSsl",
    "sslVerifyClient": "verifyClientSsl",
    "mtls": "verifyClientSsl",
    "serviceHeaders": "serviceHeader",
    "servicePathExcluded": "servicePathExclude",
    "servicePathsExclude": "servicePathExclude",
    "redirectWhenHttp": "redirectWhenHttpProto",
    "redirectUnlessHttps": "redirectUnlessHttpsProto",
    "allowIps": "serviceHeader or users (addresses are not compared)",
    "whitelist": "serviceHeader or users (addresses are not compared)",
    "ipWhiteList": "serviceHeader or users (addresses are not compared)",
    "denyIps": "serviceHeader or users (addresses are not compared)",
}
OTHERS = (
    "usage used user-facing userService user_interface userDefined house owner author authority team tier env stack"
    " version release description contact alertName alertIf alertFor scrapePort scrapeNetwork scaleMin scaleMax"
    " reschedule notify shortName monitor metrics http https service services servicePaths serviceDomains"
    " serviceDomainAlgorithm servicePort serviceType ports paths path hosts host method-of-payment allowedHosts"
    " denyReason redirect redirectPath redirectFromDomains addReqHeaders setHeaders headers timeout timeouts backend"
    " backendExtras cron.enable cert certificate key priority weight public private internal secure deployed"
).split()


@pytest.mark.parametrize(("name", "meant"), PROTECTING.items())
def test_what_looks_like_protection_refuses_the_service(name: str, meant: str) -> None:
    assert guarded_by(name, KNOWN) == meant
    with pytest.raises(InvalidService, match=r"looks like protection|is for the whole service") as refused:
        parse(WEB | {name: "a:b"})
    assert name in str(refused.value)
    assert meant in str(refused.value)


@pytest.mark.parametrize("name", OTHERS)
def test_labels_of_others_are_ignored(name: str) -> None:
    assert guarded_by(name, KNOWN) is None
    parse(WEB | {name: "x"})


@pytest.mark.parametrize("name", KNOWN)
def test_no_parameter_of_ours_looks_like_another(name: str) -> None:
    assert guarded_by(name, KNOWN) in (None, name)


def test_an_unknown_name_without_a_value_asks_for_nothing() -> None:
    parse(WEB | {"user": ""})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (WEB | {"users.2": "x:y"}, "users.2: users is for the whole service"),
        (WEB | {"allowedMethods.3": "GET"}, "allowedMethods.3: there is no destination 3"),
        (WEB | {"port.1": "80", "httpsOnly.2": "true"}, "httpsOnly.2: there is no destination 2"),
        (TCP | {"users": "a:b"}, "users: protects http only"),
        (TCP | {"usersSecret": "mine"}, "usersSecret: protects http only"),
        (TCP | {"redirectWhenHttpProto": "true"}, "redirectWhenHttpProto: protects http only"),
        (TCP | {"allowedMethods": "GET"}, "allowedMethods: protects http only"),
        (TCP | {"denyHttp": "true"}, "denyHttp: protects http only"),
        (TCP | {"serviceHeader": "X-A:1"}, "serviceHeader: protects http only"),
        (TCP | {"reqMode": "sni", "servicePath": "a.org", "httpsOnly": "true"}, "httpsOnly: protects http only"),
        (
            {"serviceName": "web", "port.1": "80", "servicePath.1": "/", "users": "a:b"}
            | {"reqMode.2": "tcp", "port.2": "5432", "srcPort.2": "5432"},
            "users: do not protect the tcp destination; set ignoreAuthorization.2=true",
        ),
        (
            {"serviceName": "web", "port.1": "80", "servicePath.1": "/"}
            | {"reqMode.2": "tcp", "port.2": "5432", "srcPort.2": "5432", "allowedMethods.2": "GET"},
            "allowedMethods.2: protects http only",
        ),
        (WEB | {"verifyClientSsl": "true"}, "verifyClientSsl: needs the setting CA_FILE"),
        (
            WEB | {"users": "admin"},
            "users: 'admin': no password; write name:password, or add the name to the setting USERS",
        ),
        (WEB | {"users": "a:b,admin"}, "users: 'admin': no password"),
        (WEB | {"users": ","}, "users: holds no user"),
        (WEB | {"users": "admin:"}, "users: holds no user"),
        (WEB | {"usersSecret": "none"}, "usersSecret: 'none': there is no secret dfp_users_none"),
        (WEB | {"usersSecret": "empty"}, "the secret dfp_users_empty holds no name:password"),
        (WEB | {"users": "other", "usersSecret": "mine"}, "users: 'other': no password"),
        (WEB | {"usersPassEncrypted": "true"}, "usersPassEncrypted: has no effect without users"),
    ],
)
def test_protection_without_effect_refuses_the_service(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidService) as refused:
        parse(parameters, DEFAULTS)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "parameters",
    [
        WEB | {"users": "a:b"},
        WEB | {"users": "Root"},
        WEB | {"users": "admin", "usersSecret": "mine"},
        WEB | {"usersSecret": "mine"},
        WEB | {"users": "a:b", "usersPassEncrypted": "true"},
        WEB | {"Users": "a:b", "users": ""},
        WEB | {"allowedMethods.1": "GET", "port.1": "80"},
        WEB | {"verifyClientSsl": "false"},
        TCP | {"httpsOnly": "false"},
        {"serviceName": "web", "port.1": "80", "servicePath.1": "/", "users": "a:b", "httpsOnly": "true"}
        | {"reqMode.2": "tcp", "port.2": "5432", "srcPort.2": "5432", "ignoreAuthorization.2": "true"},
    ],
)
def test_protection_with_effect_is_taken(parameters: dict[str, str]) -> None:
    parse(parameters, DEFAULTS)


def test_the_last_spelling_without_a_value_takes_no_protection_away() -> None:
    assert parse(WEB | {"users": "a:b", "Users": ""}).users == "a:b"


def test_variables_of_the_environment_that_look_like_protection_are_named() -> None:
    unknown = ["DFP_SERVICE_USR", "DFP_SERVICE_2_USER", "DFP_SERVICE_OWNER", "DFP_SERVICE_AUTH"]
    given = dict.fromkeys(unknown[:3], "x")
    assert unguarded(unknown, given) == {"DFP_SERVICE_USR": "users", "DFP_SERVICE_2_USER": "users"}
