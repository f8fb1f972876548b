"""A cookie by which a browser shows that somebody has signed in with it before.

Wrong passwords of strangers lock strangers out, and never a browser that its user has used before. The cookie lets
nobody in. After OWASP: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

from starlette.responses import Response

_SECONDS = 365 * 86_400
_PURPOSE = b"device-cookie\0"


class DeviceCookies:
    """Makes and checks the cookies. `key` may raise OSError or be empty: then every browser counts as a stranger's."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    def device_of(self, cookies: Mapping[str, str], user: str, *, https: bool) -> str:
        """The device of a browser, if its last user was this one; else empty."""
        number, _, signature = cookies.get(_name(https), "").partition(".")
        made = self._signature(user, number)
        return number[:40] if made and hmac.compare_digest(signature.encode(), made.encode()) else ""

    def set_on(self, response: Response, user: str, *, https: bool) -> None:
        """Give the browser of a user who has just signed in a new cookie."""
        number = secrets.token_urlsafe(16)
        if signature := self._signature(user, number):
            response.set_cookie(
                _name(https),
                f"{number}.{signature}",
                max_age=_SECONDS,
                secure=https,
                httponly=True,
                samesite="strict",
                path="/",
            )

    def _signature(self, user: str, number: str) -> str:
        try:
            key = self._key().encode()
        except OSError:
            return ""
        if not key:  # anybody could sign with it
            return ""
        text = f"{user}\0{number}".encode("utf-8", "surrogatepass")
        return hmac.new(key, _PURPOSE + text, hashlib.sha256).hexdigest()


def _name(https: bool) -> str:
    return "__Host-device" if https else "device"
