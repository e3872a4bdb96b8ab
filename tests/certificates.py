"""Certificates made for tests."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as Key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority(NamedTuple):
    """What signs certificates, and stands behind them in their files."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()


def make_key(kind: str) -> Key:
    """`rsa` or `dsa` with a number of bits, `ed25519`, `ed448`, or the name of a curve."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind.startswith("dsa"):
        return dsa.generate_private_key(int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    curve: ec.EllipticCurve = getattr(ec, kind)()
    return ec.generate_private_key(curve)


def make_authority(kind: str = "SECP256R1") -> Authority:
    key = make_key(kind)
    return Authority(key, _signed(["Authority"], key, None, days=30))


def make_certificate(
    *domains: str, key: str = "SECP256R1", signer: Authority | None = None, days: int = 30
) -> tuple[str, int]:
    """A PEM with its key, and its serial number: self-signed, or signed by an authority that stands behind it.

    `days` it is valid from now on; less than 0 for one that has expired.
    """
    own = make_key(key)
    certificate = _signed(list(domains), own, signer, days)
    pem = certificate.public_bytes(Encoding.PEM).decode()
    secret = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return "\n".join([pem, *([signer.pem] if signer else []), secret]), certificate.serial_number


def _signed(domains: list[str], own: Key, signer: Authority | None, days: int) -> x509.Certificate:
    key = signer.key if signer else own
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0])])
    now = datetime.datetime.now(datetime.UTC)
    digest = None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer.certificate.subject if signer else name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains]), critical=False)
        .sign(key, digest)
    )
