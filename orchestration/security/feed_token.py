"""The token in the address of a calendar feed. Pure.

It is derived from the key that signs links in messages, and opens one feed and nothing else. It does not expire, since
calendar programs read it for years; with a new key all feeds get new addresses.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256

# So that no other value that is signed with the same key can pass for a feed's token.
_CONTEXT = b"agent-orchestration on-call feed\0"
PREFIX = "orcfeed_"


def feed_token(key: str, rotation: str) -> str:
    """The token of a rotation's feed."""
    digest = hmac.new(key.encode(), _CONTEXT + rotation.encode(), sha256).digest()
    return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def opens(token: str, key: str, rotation: str) -> bool:
    """Whether a token is that of a rotation's feed; compared in constant time."""
    return hmac.compare_digest(token.encode("utf-8", "replace"), feed_token(key, rotation).encode())
