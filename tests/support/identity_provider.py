"""An identity provider on loopback (OpenID Connect) that signs with real keys, and lies on request.

Written on `cryptography` and the standard library, so that what checks its tokens is not what made them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET = "orchestrator-tests", "hunter2hunter2hunter2"
Change = Callable[[dict[str, Any]], None]


@dataclass
class Person:
    """Somebody with an account there."""

    subject: str
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Lie:
    """What is wrong with the next tokens."""

    claims: Change = lambda claims: None
    header: Change = lambda header: None
    sign: Callable[[bytes], bytes] | None = None


class IdentityProviderServer:
    """The provider. `person` is who is signed in there, `lie` what is wrong with its tokens."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.person, self.lie = Person("1"), Lie()
        self.seen: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.rotate()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is gone."""
        self.key, self.kid = rsa.generate_private_key(65537, 2048), secrets.token_hex(4)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def configuration(self) -> dict[str, Any]:
        own = self.issuer
        return {
            "issuer": own, "authorization_endpoint": f"{own}/authorize", "token_endpoint": f"{own}/token",
            "jwks_uri": f"{own}/keys", "end_session_endpoint": f"{own}/leave",
        }  # fmt: skip

    def keys(self) -> dict[str, Any]:
        numbers = self.key.public_key().public_numbers()
        return {
            "keys": [
                {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": _number(numbers.n),
                 "e": _number(numbers.e)},
                {"kty": "oct", "kid": "shared", "k": _encoded(b"a secret that everybody can read")},
            ]
        }  # fmt: skip

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where a browser is sent with a code."""
        assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(query)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer})}"

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """The tokens for a code; None for one that was used, or that the caller did not ask for."""
        asked = self._codes.pop(form.get("code", ""), None)
        made = _encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or made != asked["code_challenge"] or form.get("client_secret") != SECRET:
            return None
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return None
        return {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": self.token(asked["nonce"])}

    def token(self, nonce: str) -> str:
        """An ID token about the person, with what is wrong with it."""
        now = int(time.time())
        header: dict[str, Any] = {"alg": "RS256", "kid": self.kid, "typ": "JWT"}
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": self.person.subject, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce,
            **self.person.claims,
        }  # fmt: skip
        self.lie.header(header)
        self.lie.claims(claims)
        signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}".encode()
        sign = self.lie.sign or (lambda data: self.key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
        return f"{signed.decode()}.{_encoded(sign(signed))}"


def by_shared_secret(data: bytes) -> bytes:
    """A signature that whoever can read the published keys can make."""
    return hmac.new(b"a secret that everybody can read", data, hashlib.sha256).digest()


@contextmanager
def identity_provider() -> Iterator[IdentityProviderServer]:
    """A provider for as long as the block lasts."""
    server = IdentityProviderServer()
    try:
        yield server
    finally:
        server.close()


def _handler(provider: IdentityProviderServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.seen.append(parts.path)
            found = {"/.well-known/openid-configuration": provider.configuration, "/keys": provider.keys}
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif parts.path in found:
                self._send(200, found[parts.path]())
            else:
                self._send(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            tokens = provider.exchange({name: values[0] for name, values in parse_qs(body).items()})
            self._send(200 if tokens else 400, tokens or {"error": "invalid_grant"})

        def _send(self, status: int, document: Mapping[str, Any]) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8))
