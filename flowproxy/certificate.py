"""A certificate with its chain and key, checked before HAProxy is given it."""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from flowproxy.errors import InvalidCertificate

_NAME = re.compile(r"[A-Za-z0-9*_][A-Za-z0-9*_.-]{0,200}")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class Certificate(NamedTuple):
    """The PEM text holds no blank lines, which would end a payload of the runtime API."""

    name: str
    pem: str
    domains: tuple[str, ...]
    serial: int
    expires: datetime
    of_service: bool = False

    @property
    def chain(self) -> str:
        """Without the key."""
        blocks = (found[0] for found in _BLOCK.finditer(self.pem) if found[1] == "CERTIFICATE")
        return "".join(f"{block}\n" for block in blocks)


@lru_cache(maxsize=4096)
def read_certificate(name: str, content: str) -> Certificate:
    """Checks a PEM file: certificate first, then its chain, the key anywhere. Raises InvalidCertificate."""
    if not _NAME.fullmatch(name):
        raise InvalidCertificate(f"certificate {name!r}: its name must be letters, digits, '*', '_', '.' or '-'")
    blocks = [(found[1], found[0]) for found in _BLOCK.finditer(content.replace("\r\n", "\n"))]
    chain = [text for kind, text in blocks if kind == "CERTIFICATE"]
    keys = [text for kind, text in blocks if kind.endswith("PRIVATE KEY")]
    if not chain:
        raise InvalidCertificate(f"certificate {name}: there is no CERTIFICATE in it; give PEM")
    if len(keys) != 1:
        raise InvalidCertificate(f"certificate {name}: there must be one PRIVATE KEY in it, not {len(keys)}")
    try:
        certificates = [x509.load_pem_x509_certificate(text.encode()) for text in chain]
        key = load_pem_private_key(keys[0].encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidCertificate(f"certificate {name}: it cannot be read: {error}") from None
    leaf = certificates[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise InvalidCertificate(f"certificate {name}: the key is not that of its first certificate")
    pem = "\n".join(line.strip() for text in [*chain, *keys] for line in text.splitlines() if line.strip()) + "\n"
    return Certificate(name, pem, _domains(leaf), leaf.serial_number, leaf.not_valid_after_utc)


def in_order(certificates: Iterable[Certificate], preferred: Sequence[str]) -> list[str]:
    """Their names, those of services last, but first what PREFERRED_CERTIFICATE matches; clients without a server name
    get the first."""
    ranked = sorted((certificate.of_service, certificate.name) for certificate in certificates)
    listed = [name for _, name in ranked]
    first = [name for pattern in preferred for name in listed if fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))]
    return list(dict.fromkeys([*first, *listed]))


def _domains(leaf: x509.Certificate) -> tuple[str, ...]:
    """Its alternative names and its common one: HAProxy shows it for all of them."""
    names = [str(attribute.value) for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    with contextlib.suppress(x509.ExtensionNotFound):
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
    return tuple(dict.fromkeys(name.lower() for name in names))
