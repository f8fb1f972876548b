"""How people sign in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestration.config.section import EnvironmentName, Section
from orchestration.domain.role import Role

# Those with a pair of keys. With a shared secret, whoever can check a token could also make one.
SignatureAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]


class OidcSettings(Section):
    """An identity provider by which people sign in (OpenID Connect, authorisation code with PKCE). `issuer` is its
    address, exactly as it calls itself; `clientSecretEnv` names a variable. The values of its claim `roleClaim` are
    mapped to roles by `roles`; users with none of these values are not let in. `nameClaim` proposes the name of a new
    user. `privateNetwork` allows its addresses to be private, `caFile` holds the certificate of its CA."""

    name: Annotated[str, Field(min_length=1, max_length=60)] = "single sign-on"
    issuer: Annotated[str, Field(min_length=1, max_length=255)]
    client_id: Annotated[str, Field(min_length=1, max_length=255)]
    client_secret_env: EnvironmentName | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: dict[str, Role] = Field(default_factory=dict)
    algorithms: Annotated[tuple[SignatureAlgorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    private_network: bool = False
    ca_file: str | None = None


class AccessSettings(Section):
    """How people sign in to the dashboard. Users with one of the roles in `requireSecondFactor` set up one-time codes
    when they sign in next, and cannot go on without. `secondFactorKeyEnv` names a variable with the key that seals the
    secrets of second factors, at least 32 characters, for several machines on one database; without it, the key is a
    file in the state directory. API tokens need no second factor."""

    require_second_factor: frozenset[Role] = frozenset()
    second_factor_key_env: EnvironmentName | None = None
    oidc: OidcSettings | None = None
