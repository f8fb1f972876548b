"""Secrets that have to be stored and read again, sealed by a key that is kept elsewhere. Pure, but for the nonce."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orchestration.errors import ConflictError

_VERSION = "v1."
_NONCE = 12  # bytes, as AES-GCM wants it (NIST SP 800-38D, 8.2)
_CONTEXT = b"agent-orchestration sealed secret"


class SealError(ConflictError):
    """A sealed secret cannot be opened: the key is another one, or the value was changed."""


def seal(text: str, key: str, owner: str) -> str:
    """The text, encrypted and bound to its owner, so that a sealed secret that is copied to another row is void."""
    nonce = secrets.token_bytes(_NONCE)
    sealed = _cipher(key).encrypt(nonce, text.encode(), owner.encode())
    return _VERSION + base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(sealed: str, key: str, owner: str) -> str:
    """What was sealed. Raises SealError."""
    try:
        raw = base64.urlsafe_b64decode(sealed.removeprefix(_VERSION))
        return str(_cipher(key).decrypt(raw[:_NONCE], raw[_NONCE:], owner.encode()).decode())
    except (InvalidTag, ValueError) as error:
        raise SealError("A stored secret cannot be opened: it was sealed with another key, or changed.") from error


def _cipher(key: str) -> AESGCM:
    # Derived, since a key that an operator has chosen may have any length.
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_CONTEXT).derive(key.encode()))
