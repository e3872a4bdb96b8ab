"""What a body may be, and how long a path."""

from __future__ import annotations

import io

import pytest
from api_client import Stage
from certificates import make_certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, load_pem_private_key, pkcs12

PEM, _ = make_certificate("a.org")


def binaries() -> list[bytes]:
    certificate = x509.load_pem_x509_certificate(PEM.encode())
    key = load_pem_private_key(PEM[PEM.index("-----BEGIN PRIVATE") :].encode(), None)
    assert not isinstance(key, x509.Certificate)
    packed = pkcs12.serialize_key_and_certificates(b"a", key, certificate, None, NoEncryption())  # type: ignore[arg-type]  # any key of ours will do
    return [certificate.public_bytes(Encoding.DER), packed, b"\x30\x80\xff"]


async def test_a_binary_certificate_is_refused_and_pem_is_asked_for() -> None:
    async with Stage().client() as client:
        for body in binaries():
            answer = await client.put("/v1/cert?certName=a", data=body)
            assert answer.status == 400
            assert "give PEM" in (await answer.json())["Message"]


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"\xff\xfe", {}, "the body is not utf-8 text: byte 0 does not fit"),
        (b"abc\x80", {"Content-Type": "text/plain; charset=us-ascii"}, "the body is not us-ascii text: byte 3"),
        (b"abc", {"Content-Type": "text/plain; charset=klingon"}, "charset='klingon': must be utf-8"),
        (b"abc", {"Content-Type": "text/plain; charset=utf-16"}, "charset='utf-16': must be utf-8"),
        (b"abc", {"Content-Encoding": "gzip"}, "Content-Encoding: 'gzip': send the body as it is"),
        (b"abc", {"Content-Encoding": "nonsense, gzip"}, "Content-Encoding: 'nonsense, gzip'"),
    ],
)
async def test_what_is_no_plain_text_is_refused(body: bytes, headers: dict[str, str], said: str) -> None:
    stage = Stage()
    async with stage.client() as client:
        answer = await client.put("/v1/cert?certName=a", data=body, headers=headers)

        assert answer.status == 415
        assert said in (await answer.json())["Message"]
    stage.keyring.put.assert_not_called()


async def test_a_body_that_is_too_long_is_refused() -> None:
    async with Stage().client() as client:
        answer = await client.put("/v1/cert?certName=a", data=io.BytesIO(b"x" * 1_100_000))

        assert answer.status == 413
        assert (await answer.json())["Message"] == "the body is too long; at most 1048576 bytes are accepted"
