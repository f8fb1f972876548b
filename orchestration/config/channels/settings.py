"""The settings of one notification channel."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from orchestration.config.section import EnvironmentName, Section
from orchestration.domain.channel_kind import ChannelKind

# With a full stop in it, as the names of a user's own actions have, so that no kind that we ship later can take it.
OWN_KIND = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*")
_SHIPPED = tuple(kind.value for kind in ChannelKind)


def _known_form(kind: str) -> str:
    # Whether a user's own kind is installed is a finding of the checks, not an error of the file's shape: a package
    # that disappears must not keep the whole configuration, with every other channel in it, from being loaded.
    if kind not in _SHIPPED and not OWN_KIND.fullmatch(kind):
        raise ValueError(f"one of {', '.join(_SHIPPED)}, or a kind of your own such as own.push")
    return str(kind)


ChannelType = Annotated[
    str,
    AfterValidator(_known_form),
    # Written by hand, so that the published schema is the same whatever packages are installed.
    WithJsonSchema({"anyOf": [{"enum": list(_SHIPPED)}, {"type": "string", "pattern": f"^{OWN_KIND.pattern}$"}]}),
]


class ChannelSettings(Section):
    """One way to reach people. Addresses that are secrets (webhooks, keys) come from environment variables.

    `caFile` holds the certificates of further authorities that its server may be certified by, in the PEM format;
    `certificateFile` and `keyFile` what this side shows of itself to a server that asks.

    A public name that leads to a private address is refused, since its owner could so have messages sent into your own
    network; with `privateNetwork` it is meant so. Addresses such as 10.0.0.7 or chat.internal are always meant.
    """

    type: ChannelType
    enabled: bool = True
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    sender: str | None = None
    username: str | None = None
    password_env: EnvironmentName | None = None
    url: str | None = None
    url_env: EnvironmentName | None = None
    secret_env: EnvironmentName | None = None
    routing_key_env: EnvironmentName | None = None
    token_env: EnvironmentName | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    private_network: bool = False
    timeout: Annotated[float, Field(gt=0, le=120)] = 10.0
    per_second: Annotated[float, Field(gt=0)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that the channel reads, by the key that names each."""
        named = {
            "passwordEnv": self.password_env,
            "urlEnv": self.url_env,
            "secretEnv": self.secret_env,
            "routingKeyEnv": self.routing_key_env,
            "tokenEnv": self.token_env,
        }
        return {key: name for key, name in named.items() if name is not None}
