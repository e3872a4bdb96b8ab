"""A certificate is read or refused, whatever it holds."""

from __future__ import annotations

import base64
import contextlib
import random
import textwrap
import time

import pytest
from certificates import make_authority, make_certificate
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from flowproxy.errors import InvalidCertificate
from flowproxy.services.certificate import read_certificate, sound_pem, weaknesses


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_damage_is_more_than_an_invalid_certificate() -> None:
    """A byte changed anywhere in the certificate or its key: names, extensions, versions, curves."""
    pem, _ = make_certificate("a.org")
    moments = random.Random(4711)  # noqa: S311 - any damage will do
    for _ in range(2000):
        with contextlib.suppress(InvalidCertificate):
            certificate = read_certificate("a", _damaged(pem, moments))
            weaknesses(certificate)


def _damaged(pem: str, moments: random.Random) -> str:
    blocks = []
    which = moments.random() < 0.1
    for number, block in enumerate(part for part in pem.split("-----BEGIN ") if part):
        kind, _, rest = block.partition("-----\n")
        content = bytearray(base64.b64decode(rest.partition("-----END")[0]))
        if number == which:
            content[moments.randrange(len(content))] = moments.randrange(256)
        lines = "\n".join(textwrap.wrap(base64.b64encode(bytes(content)).decode(), 64))
        blocks.append(f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n")
    return "".join(blocks)


@pytest.mark.parametrize(
    ("kind", "weak"),
    [("rsa1024", ["the key of its certificate has 1024 bits, 2048 are needed"]), ("rsa2048", []), ("ed25519", [])],
)
def test_what_is_weak_about_it(kind: str, weak: list[str]) -> None:
    assert weaknesses(read_certificate("a", make_certificate("a.org", key=kind)[0])) == weak


def test_what_is_weak_about_its_chain() -> None:
    pem, _ = make_certificate("a.org", signer=make_authority("rsa1024"))

    assert weaknesses(read_certificate("a", pem)) == [
        "the key of certificate 2 of its chain has 1024 bits, 2048 are needed"
    ]


def test_the_sound_one_is_sound() -> None:
    assert weaknesses(read_certificate("sound", sound_pem())) == []


def test_a_large_key_is_read_quickly() -> None:
    pem, _ = make_certificate("a.org", key="rsa4096")
    begin = time.process_time()
    read_certificate("a.org", pem)
    assert time.process_time() - begin < 0.2


def test_a_damaged_rsa_key_is_refused() -> None:
    pem, _ = make_certificate("a.org", key="rsa2048")
    key = load_pem_private_key(_key(pem).encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    text = wrong.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(InvalidCertificate, match="the key is not that of its first certificate"):
        read_certificate("a.org", pem.partition("-----BEGIN PRIVATE")[0] + text)


def test_a_key_that_slows_handshakes_down_is_refused() -> None:
    large, _ = make_certificate("a.org", key="rsa4104")
    small, _ = make_certificate("b.org")
    with pytest.raises(InvalidCertificate, match="its key has 4104 bits; RSA keys have at most 4096"):
        read_certificate("a.org", large)
    # the size of the certificate's key is known before the other key is read
    with pytest.raises(InvalidCertificate, match="its key has 4104 bits"):
        read_certificate("a.org", large.partition("-----BEGIN PRIVATE")[0] + _key(small))


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    pem, _ = make_certificate("a.org")
    key = "-----BEGIN PRIVATE KEY-----\n" + "A" * 5000 + "\n-----END PRIVATE KEY-----\n"
    with pytest.raises(InvalidCertificate, match="its key has 5054 characters"):
        read_certificate("a.org", pem.partition("-----BEGIN PRIVATE")[0] + key)
    with pytest.raises(InvalidCertificate, match="characters; at most 100000 are read"):
        read_certificate("a.org", pem + "#" * 100_000)
    with pytest.raises(InvalidCertificate, match="it has 5000 parts; at most 50 are read"):
        read_certificate("a.org", "-----BEGIN A-----" * 5000)


def _key(pem: str) -> str:
    return "".join(pem.partition("-----BEGIN PRIVATE")[1:])
