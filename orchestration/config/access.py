"""How people sign in."""

from __future__ import annotations

from orchestration.config.section import EnvironmentName, Section
from orchestration.domain.role import Role


class AccessSettings(Section):
    """How people sign in to the dashboard. Users with one of the roles in `requireSecondFactor` set up one-time codes
    when they sign in next, and cannot go on without. `secondFactorKeyEnv` names a variable with the key that seals the
    secrets of second factors, at least 32 characters, for several machines on one database; without it, the key is a
    file in the state directory. API tokens need no second factor."""

    require_second_factor: frozenset[Role] = frozenset()
    second_factor_key_env: EnvironmentName | None = None
