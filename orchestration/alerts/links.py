"""The addresses that another system sends with an alert: its runbook, dashboards, where it comes from. Pure.

A sender may write anything into them, so only plain web addresses become links.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

from orchestration.alerts.model import Alert
from orchestration.incidents.report import MAX_LINKS, IncidentLink

_MAX_LENGTH = 2000
# Runbook and dashboard are conventions of the monitoring mixins (https://monitoring.mixins.dev/#best-practices);
# `generatorURL` is Prometheus's, the other camel-case names are Grafana's. In the order in which people want them.
_NAMES = MappingProxyType(
    {
        "runbook_url": "runbook",
        "runbook": "runbook",
        "runbookURL": "runbook",
        "dashboard_url": "dashboard",
        "dashboard": "dashboard",
        "dashboardURL": "dashboard",
        "panelURL": "panel",
        "generatorURL": "source",
    }
)


def links_of(alerts: Sequence[Alert]) -> tuple[IncidentLink, ...]:
    """The links of the alerts that other systems sent, runbooks first, each address once."""
    found = [link for alert in alerts if alert.external for link in _links({**alert.labels, **alert.details})]
    order = list(dict.fromkeys(_NAMES.values()))
    first: dict[str, IncidentLink] = {}
    for link in sorted(found, key=lambda link: order.index(link.name)):
        first.setdefault(link.url, link)
    return tuple(first.values())[:MAX_LINKS]


def _links(texts: Mapping[str, str]) -> Iterator[IncidentLink]:
    for key, name in _NAMES.items():
        url = texts.get(key, "").strip()
        if _is_web_address(url):
            yield IncidentLink(name, url)


def _is_web_address(url: str) -> bool:
    # No blanks and no control or other characters beyond ASCII: an address that looks like another one, or that
    # changes what a terminal shows, is no link.
    if not url or len(url) > _MAX_LENGTH or not all("!" <= character <= "~" for character in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
