"""Which hosts of the network a command may reach: the rules of the configuration. Pure.

A rule is `name`, `*.name` (all names below it) or either with `:port`; without a port it means those of HTTP and HTTPS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

USUAL_PORTS = (80, 443)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_RULE = re.compile(rf"(?P<below>\*\.)?(?P<name>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>\d{{1,5}}))?")


@dataclass(frozen=True, slots=True)
class HostRule:
    """Hosts that may be reached. `below` means the names below the name, and not the name itself."""

    name: str
    below: bool = False
    port: int | None = None

    def permits(self, host: str, port: int) -> bool:
        """Whether a host may be reached at a port."""
        ports = USUAL_PORTS if self.port is None else (self.port,)
        return port in ports and (host.endswith(f".{self.name}") if self.below else host == self.name)


def read_rule(text: str) -> HostRule:
    """A rule as it is written. Raises ValueError."""
    found = _RULE.fullmatch(text.strip().lower())
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port < 65_536):
        raise ValueError(
            f"expected a host such as packages.example.org, *.example.net or git.example.org:8443, got '{text}'"
        )
    return HostRule(found["name"], below=found["below"] is not None, port=port)


def permitting(rules: Sequence[HostRule], host: str, port: int) -> HostRule | None:
    """The rule by which a host may be reached at a port; None if it may not."""
    name = host.rstrip(".").lower()
    return next((rule for rule in rules if rule.permits(name, port)), None)
