"""Messages for a browser, encrypted so that its push service cannot read them (RFC 8291, RFC 8188), and the proof to
that service of who sends them (VAPID, RFC 8292)."""

from __future__ import annotations

import base64
import binascii
import json
import os
import struct
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# A push service need not take more (RFC 8030, 7.2); the rest is the header, the end mark and the tag.
MOST_BYTES = 4096 - 86 - 1 - 16
_RECORD_SIZE = 4096
_POINT_BYTES, _SCALAR_BYTES, _AUTH_BYTES = 65, 32, 16
# A day at most (RFC 8292, 2); half of it leaves room for a clock that is wrong.
_TOKEN_LASTS = timedelta(hours=12)
_LAST_RECORD = b"\x02"


def encrypt(
    text: bytes,
    public_key: str,
    auth_secret: str,
    *,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body for the push service. `sender` and `salt` are made for each message; a test gives those of the RFC.
    Raises ValueError for keys that are none."""
    receiver, auth = read_keys(public_key, auth_secret)
    own, salt = sender or ec.generate_private_key(ec.SECP256R1()), salt or os.urandom(16)
    own_point, receiver_point = _point(own.public_key()), _point(receiver)
    shared = own.exchange(ec.ECDH(), receiver)
    secret = _derive(shared, auth, b"WebPush: info\0" + receiver_point + own_point, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + struct.pack("!IB", _RECORD_SIZE, len(own_point)) + own_point
    return header + AESGCM(key).encrypt(nonce, text + _LAST_RECORD, None)


def read_keys(public_key: str, auth_secret: str) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """A browser's keys. Raises ValueError."""
    point, auth = _decoded(public_key, _POINT_BYTES), _decoded(auth_secret, _AUTH_BYTES)
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point), auth


def authorization(key: str, endpoint: str, contact: str, now: datetime) -> str:
    """The header by which a push service knows the sender; `contact` is whom its operators write to. Raises
    ValueError for a key that is none."""
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int((now + _TOKEN_LASTS).timestamp()),
        "sub": f"mailto:{contact}",
    }
    signed = ".".join(encode(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
    # A JWT has both numbers one after the other (RFC 7518, 3.4), and the library's signature is ASN.1.
    numbers = decode_dss_signature(_private(key).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    signature = b"".join(number.to_bytes(_SCALAR_BYTES) for number in numbers)
    return f"vapid t={signed}.{encode(signature)}, k={public_key_of(key)}"


def public_key_of(key: str) -> str:
    """The public key that browsers subscribe to. Raises ValueError for a key that is none."""
    return encode(_point(_private(key).public_key()))


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@lru_cache(maxsize=4)
def _private(key: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(_decoded(key, _SCALAR_BYTES)), ec.SECP256R1())


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _decoded(text: str, length: int) -> bytes:
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("expected a key in base64url") from error
    if len(found) != length:
        raise ValueError(f"expected a key of {length} bytes, got {len(found)}")
    return found
