"""A certificate with its chain and key, checked before HAProxy loads it."""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from flowproxy.errors import InvalidCertificate

_NAME = re.compile(r"[A-Za-z0-9*_][A-Za-z0-9*_.-]{0,200}")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
# What the library raises for a certificate, an extension or a name that it cannot read.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
# Reading blocks the thread that answers calls, and each handshake a thread that carries traffic.
_MOST_RSA_BITS = 4096
_LONGEST_KEY, _LONGEST_PEM, _MOST_BLOCKS = 4_200, 100_000, 50  # characters, and parts of the PEM; RSA 4096 has 3,300
_LEAST_RSA_BITS, _LEAST_EC_BITS = 2048, 224  # OpenSSL's security level 2, which distributions choose


class Certificate(NamedTuple):
    """The PEM text holds no blank lines, which would end a payload of the runtime API."""

    name: str
    pem: str
    domains: tuple[str, ...]
    serial: int
    of_service: bool = False

    @property
    def chain(self) -> str:
        """Return the certificates without the key."""
        blocks = (found[0] for found in _BLOCK.finditer(self.pem) if found[1] == "CERTIFICATE")
        return "".join(f"{block}\n" for block in blocks)


@lru_cache(maxsize=4096)
def read_certificate(name: str, content: str) -> Certificate:
    """Parse a PEM file: certificate first, then its chain, the key anywhere. Raises InvalidCertificate."""
    if not _NAME.fullmatch(name):
        raise InvalidCertificate(f"certificate {name!r}: its name must be letters, digits, '*', '_', '.' or '-'")
    _require_small(name, content)
    blocks = [(found[1], found[0]) for found in _BLOCK.finditer(content.replace("\r\n", "\n"))]
    chain = [text for kind, text in blocks if kind == "CERTIFICATE"]
    keys = [text for kind, text in blocks if kind.endswith("PRIVATE KEY")]
    if not chain:
        raise InvalidCertificate(f"certificate {name}: there is no CERTIFICATE in it; give PEM")
    if len(keys) != 1:
        raise InvalidCertificate(f"certificate {name}: there must be one PRIVATE KEY in it, not {len(keys)}")
    if len(keys[0]) > _LONGEST_KEY:
        rule = f"its key has {len(keys[0])} characters; at most {_LONGEST_KEY} are read, RSA {_MOST_RSA_BITS} has fewer"
        raise InvalidCertificate(f"certificate {name}: {rule}")
    try:
        leaf, *_ = x509.load_pem_x509_certificates("\n".join(chain).encode())
        public_key = leaf.public_key()
        _require_quick(name, public_key)
        # Checking that its numbers are primes is slow; checking that they match each other and the certificate is not.
        key = load_pem_private_key(keys[0].encode(), None, unsafe_skip_rsa_key_validation=True)
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fits = public_key.public_bytes(*form) == key.public_key().public_bytes(*form) and _is_whole(key)
        domains = _domains(leaf)
    except InvalidCertificate:
        raise
    except _UNREADABLE as error:
        raise InvalidCertificate(f"certificate {name}: it cannot be read: {error}") from None
    if not fits:
        raise InvalidCertificate(f"certificate {name}: the key is not that of its first certificate")
    pem = "\n".join(line.strip() for text in [*chain, *keys] for line in text.splitlines() if line.strip()) + "\n"
    return Certificate(name, pem, domains, leaf.serial_number)


def _require_small(name: str, content: str) -> None:
    """Raise InvalidCertificate for a PEM that would take long to parse."""
    if len(content) > _LONGEST_PEM:
        rule = f"it has {len(content)} characters; at most {_LONGEST_PEM} are read"
        raise InvalidCertificate(f"certificate {name}: {rule}")
    parts = content.count("-----BEGIN ")
    if parts > _MOST_BLOCKS:
        raise InvalidCertificate(f"certificate {name}: it has {parts} parts; at most {_MOST_BLOCKS} are read")


def _require_quick(name: str, key: CertificatePublicKeyTypes) -> None:
    """Raise InvalidCertificate for a key that takes a thread of HAProxy long at each handshake."""
    if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)) and key.key_size > _MOST_RSA_BITS:
        rule = f"its key has {key.key_size} bits; RSA keys have at most {_MOST_RSA_BITS}"
        raise InvalidCertificate(f"certificate {name}: {rule}")


def _is_whole(key: PrivateKeyTypes) -> bool:
    """Return whether the numbers of an RSA key match each other."""
    if not isinstance(key, rsa.RSAPrivateKey):
        return True
    numbers = key.private_numbers()
    p, q, both = numbers.p, numbers.q, numbers.d * numbers.public_numbers.e
    return (
        min(p, q) > 2
        and p * q == numbers.public_numbers.n
        and both % (p - 1) == both % (q - 1) == 1
        and (numbers.dmp1, numbers.dmq1) == (numbers.d % (p - 1), numbers.d % (q - 1))
        and numbers.iqmp * q % p == 1
    )


@lru_cache(maxsize=1)
def sound_pem() -> str:
    """Return a valid self-signed certificate with its key, for comparison with others."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flowproxy.invalid")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    lasting = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2120, 1, 1, tzinfo=UTC)
    )
    certificate = lasting.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return (certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())).decode()


def weaknesses(certificate: Certificate) -> list[str]:
    """Return descriptions of what is too weak for OpenSSL's usual security level in a certificate and its chain."""
    found = []
    for number, one in enumerate(x509.load_pem_x509_certificates(certificate.pem.encode()), 1):
        which = "its certificate" if number == 1 else f"certificate {number} of its chain"
        with contextlib.suppress(*_UNREADABLE):
            key = one.public_key()
            if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)) and key.key_size < _LEAST_RSA_BITS:
                found.append(f"the key of {which} has {key.key_size} bits, {_LEAST_RSA_BITS} are needed")
            if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_EC_BITS:
                found.append(f"the key of {which} has {key.key_size} bits, {_LEAST_EC_BITS} are needed")
            digest = one.signature_hash_algorithm
            if digest and digest.name in ("md5", "sha1") and one.issuer != one.subject:
                found.append(f"{which} is signed with {digest.name}, sha256 is needed")
    return found


def in_order(certificates: Iterable[Certificate], preferred: Sequence[str]) -> list[str]:
    """Return the names in order: first what PREFERRED_CERTIFICATE matches, then those of the folder by name, then those
    of services as given. Clients without a server name get the first."""
    ranked = sorted(certificates, key=lambda one: (one.of_service, "" if one.of_service else one.name))
    listed = [certificate.name for certificate in ranked]
    first = [name for pattern in preferred for name in listed if fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))]
    return list(dict.fromkeys([*first, *listed]))


def _domains(leaf: x509.Certificate) -> tuple[str, ...]:
    """Its alternative names and its common one: HAProxy shows it for all of them."""
    names = [str(attribute.value) for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    with contextlib.suppress(x509.ExtensionNotFound):
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
    return tuple(dict.fromkeys(name.lower() for name in names))
