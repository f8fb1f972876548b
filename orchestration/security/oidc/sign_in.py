"""Signing in by an identity provider: from the link to it until it sends the browser back.

Everything that must be secret for one sign-in (state, nonce, PKCE's verifier) is derived from the cookie that binds it
to its browser. The database holds that cookie's digest, and no more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.config.access import OidcSettings
from orchestration.errors import ConflictError
from orchestration.events import EventBus
from orchestration.events.security import UserAdded, UserChanged
from orchestration.security import passwords
from orchestration.security.access import AccessControl, digest
from orchestration.security.oidc.claims import Identity, mapped_role
from orchestration.security.oidc.provider import CodeExchange, IdentityProvider, with_query
from orchestration.security.principal import Role
from orchestration.security.sign_in import ExpiredSignInError, SignIn, SignInOrigin, SignInStep
from orchestration.security.sign_in_locks import SignInError
from orchestration.storage.access import UserRow
from orchestration.storage.identities import IdentityRow, IdentityTable
from orchestration.storage.sign_in_challenges import ChallengeRow, SignInChallenges

KIND = "provider"
_TIME = timedelta(minutes=10)
_UNNAMED = re.compile(r"[^A-Za-z0-9_.@-]+")
_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class ProviderJourney:
    """Where to send the browser, and the secret that binds its way back to it."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class ProviderReturn:
    """What the browser brings back. `issuer` is who sends it, where the provider says so (RFC 9207)."""

    secret: str
    state: str
    code: str
    issuer: str
    redirect_uri: str


class ProviderSignIn:
    """Signs users in by one identity provider."""

    def __init__(
        self,
        provider: IdentityProvider,
        sign_in: SignIn,
        access: AccessControl,
        tables: tuple[IdentityTable, SignInChallenges],
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self.provider = provider
        self._sign_in = sign_in
        self._access = access
        self._identities, self._challenges = tables
        self._bus = bus
        self._clock = clock

    @property
    def settings(self) -> OidcSettings:
        """What the configuration says of the provider."""
        return self.provider.settings

    async def begin(self, target: str, redirect_uri: str, link_to: str | None = None) -> ProviderJourney:
        """Begin a sign-in, or with `link_to` the linking of a user who is signed in. Raises SignInError."""
        addresses, secret = await self.provider.addresses(), secrets.token_urlsafe(32)
        now = self._clock.now()
        row = ChallengeRow(digest(secret), KIND, link_to, now + _TIME, data={"next": target})
        await anyio.to_thread.run_sync(self._challenges.add, row, now)
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": _derived(secret, "state"),
            "nonce": _derived(secret, "nonce"),
            "code_challenge": _encoded(hashlib.sha256(_derived(secret, "verifier").encode()).digest()),
            "code_challenge_method": "S256",
        }
        return ProviderJourney(with_query(addresses.authorization, query), secret)

    async def finish(self, back: ProviderReturn, origin: SignInOrigin) -> tuple[SignInStep, str]:
        """Finish a sign-in; returns the next step and the page to go to. Raises SignInError."""
        row = await anyio.to_thread.run_sync(self._claim, back.secret)
        if not hmac.compare_digest(back.state.encode(), _derived(back.secret, "state").encode()):
            raise SignInError("This answer belongs to another sign-in. Start again.")
        if back.issuer not in ("", self.settings.issuer):
            raise SignInError("This answer comes from another identity provider. Start again.")
        verifier, nonce = _derived(back.secret, "verifier"), _derived(back.secret, "nonce")
        identity = await self.provider.identity(CodeExchange(back.code, verifier, back.redirect_uri, nonce))
        step = await anyio.to_thread.run_sync(self._enter, identity, row.user, origin)
        return step, str(row.data.get("next", "/"))

    def _claim(self, secret: str) -> ChallengeRow:
        """The sign-in that this browser began; taken away, so that no second answer finds it."""
        row = self._challenges.find(digest(secret), KIND, self._clock.now())
        if row is None or not self._challenges.remove(row.digest):
            raise ExpiredSignInError
        return row

    def _enter(self, identity: Identity, link_to: str | None, origin: SignInOrigin) -> SignInStep:
        if link_to is not None:
            self._link(identity, link_to)
        user = self._user_of(identity)
        return self._sign_in.enter(user, origin, has_proof=identity.had_several_factors)

    def _link(self, identity: Identity, name: str) -> None:
        self._identities.link(IdentityRow(identity.issuer, identity.subject, name, False, self._clock.now()))
        self._bus.publish(UserChanged(user=name, changed=("identity",)), actor=name)

    def _user_of(self, identity: Identity) -> UserRow:
        known = self._identities.find(identity.issuer, identity.subject)
        role = mapped_role(identity, self.settings.role_claim, self.settings.roles)
        if known is None:
            return self._new_user(identity, self._required(role))
        user = self._access.table.find_user(known.user)
        if user is None or user.disabled_at is not None:
            raise SignInError("This user is disabled. Ask an admin.")
        if known.managed and self._required(role).value != user.role:
            self._identities.set_role(user.name, self._required(role).value)
            self._bus.publish(UserChanged(user=user.name, changed=("role",)), actor=self.settings.name)
            return self._access.user(user.name)
        return user

    def _required(self, role: Role | None) -> Role:
        if role is None:
            raise SignInError(
                f"{self.settings.name} knows you, but gives you no role here. Ask an admin to map one of your values "
                f"of '{self.settings.role_claim}' in access.oidc.roles."
            )
        return role

    def _new_user(self, identity: Identity, role: Role) -> UserRow:
        now = self._clock.now()
        wanted = _plain_name(identity, self.settings.name_claim)
        # A name that is taken is somebody else's, whatever the provider says: names and mails are not unique there.
        mark = hashlib.sha256(f"{identity.issuer}\0{identity.subject}".encode()).hexdigest()[:8]
        for name in (wanted, f"{wanted}-{mark}"):
            user = UserRow(name, role.value, passwords.NOBODY, now)
            row = IdentityRow(identity.issuer, identity.subject, name, True, now)
            if self._access.table.find_user(name) is None:
                self._identities.add_user(row, user)
                self._bus.publish(UserAdded(user=name, role=role.value), actor=self.settings.name)
                return user
        raise ConflictError("Your names are taken by other users. Ask an admin.")


def _plain_name(identity: Identity, claim: str) -> str:
    """A name as users may have it."""
    cleaned = _UNNAMED.sub("-", identity.text(claim)).strip("-_.@")[:_LONGEST_NAME].strip("-_.@")
    return cleaned or "user"


def _derived(secret: str, purpose: str) -> str:
    return _encoded(hmac.new(secret.encode(), f"oidc {purpose}".encode(), hashlib.sha256).digest())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
