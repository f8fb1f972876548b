"""How credentials of one vendor are revoked: which variables hold them, and what the vendor's API needs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from orchestration.config.section import EnvironmentName, Section

VENDOR_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)?")


class RevokerSettings(Section):
    """One revoker. `variables` are those whose values it revokes; without any, every exposed value that has the
    vendor's form. `baseUrl` replaces the vendor's own address."""

    vendor: Annotated[str, Field(pattern=f"^{VENDOR_NAME.pattern}$")]
    enabled: bool = True
    variables: tuple[EnvironmentName, ...] = ()
    base_url: str | None = None
    timeout: Annotated[float, Field(gt=0, le=120)] = 10.0
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def named_variables(self) -> dict[str, str]:
        """The variables that the options name, by the option's key."""
        return {key: value for key, value in self.options.items() if key.endswith("Env") and isinstance(value, str)}
