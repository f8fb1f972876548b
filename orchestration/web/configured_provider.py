"""The identity provider that the configuration names at present."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.app.application import Application
from orchestration.app.live_credentials import LiveCredentials
from orchestration.security.access import AccessControl
from orchestration.security.sign_in import SignIn
from orchestration.storage.identities import IdentityTable
from orchestration.storage.sign_in_challenges import SignInChallenges

if TYPE_CHECKING:
    from orchestration.security.oidc.sign_in import ProviderSignIn


class ConfiguredProvider:
    """Builds the way of signing in by the provider, anew whenever the configuration has changed."""

    def __init__(self, app: Application, access: AccessControl, sign_in: SignIn) -> None:
        self._app = app
        self._access = access
        self._sign_in = sign_in
        self._found: ProviderSignIn | None = None

    def name(self) -> str:
        """What people call the provider; empty while none is configured."""
        settings = self._app.configuration.access.oidc
        return "" if settings is None else settings.name

    def current(self) -> ProviderSignIn | None:
        """Signing in by the provider; None while none is configured."""
        settings = self._app.configuration.access.oidc
        if settings is None:
            self._found = None
        elif self._found is None or self._found.settings != settings:
            from orchestration.security.oidc.provider import IdentityProvider
            from orchestration.security.oidc.sign_in import ProviderSignIn

            credentials, name = LiveCredentials(self._app.store), settings.client_secret_env
            provider = IdentityProvider(settings, lambda: credentials.get(name) if name else None, self._app.clock)
            tables = IdentityTable(self._app.database), SignInChallenges(self._app.database)
            app = self._app
            self._found = ProviderSignIn(provider, self._sign_in, self._access, tables, app.bus, app.clock)
        return self._found
