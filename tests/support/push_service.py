"""A push service with a browser behind it, on loopback over TLS: it checks who sends (RFC 8292) and decrypts what comes
(RFC 8291), by the standards and without any code of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.certificates import own_certificate
from tests.support.receivers import HttpReceiver, Received


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869) for one block, which is all that is needed here."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()[:length]


@dataclass(frozen=True)
class Device:
    """A browser's keys."""

    private: ec.EllipticCurvePrivateKey
    auth: bytes

    @property
    def point(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def keys(self) -> tuple[str, str]:
        """As `PushSubscription.getKey` gives them."""
        return encode(self.point), encode(self.auth)

    def decrypt(self, body: bytes) -> bytes:
        """RFC 8188 with the keys of RFC 8291, section 3.4."""
        salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size
        assert len(body) <= 4096, "a push service may refuse more (RFC 8030, 7.2)"
        shared = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        secret = hkdf(self.auth, shared, b"WebPush: info\0" + self.point + sender, 32)
        key = hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
        text = AESGCM(key).decrypt(nonce, record, None)
        assert text[-1:] == b"\x02", "the mark of the last record, without padding"
        return text[:-1]

    def shows(self, body: bytes) -> dict[str, Any]:
        """What its service worker gets."""
        found: dict[str, Any] = json.loads(self.decrypt(body))
        return found


def a_device() -> Device:
    return Device(ec.generate_private_key(ec.SECP256R1()), b"sixteen bytes ok")


class PushService(HttpReceiver):
    """Over TLS, with a certificate of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.certificate, key = own_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")

    def claims(self, got: Received) -> tuple[dict[str, Any], str]:
        """What the sender claims, if its signature is right, and the key that it signs with."""
        headers = {name.lower(): value for name, value in got.headers.items()}
        scheme, _, rest = headers["authorization"].partition(" ")
        assert scheme == "vapid"
        values = dict(part.strip().split("=", 1) for part in rest.split(","))
        signed, _, signature = values["t"].rpartition(".")
        first, second = decode(signature)[:32], decode(signature)[32:]
        numbers = encode_dss_signature(int.from_bytes(first), int.from_bytes(second))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(values["k"]))
        key.verify(numbers, signed.encode(), ec.ECDSA(hashes.SHA256()))
        header, claims = (json.loads(decode(part)) for part in signed.split("."))
        assert header == {"typ": "JWT", "alg": "ES256"}
        assert claims["aud"] == self.url
        return claims, values["k"]


@contextmanager
def push_service(folder: Path) -> Iterator[PushService]:
    service = PushService(folder)
    service.start()
    try:
        yield service
    finally:
        service.stop()
