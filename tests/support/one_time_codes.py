"""What an authenticator program does, written anew: RFC 6238 on the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import hmac


def code_at(secret: str, seconds: float) -> str:
    """The code of six digits that a telephone shows at a time since 1970."""
    digest = hmac.new(base64.b32decode(secret), (int(seconds) // 30).to_bytes(8), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF) % 1_000_000:06}"
