"""The registry of alert sources: those that ship with the product, and users' own.

To add one to the product, add a module beside this one and name its descriptor in `_SHIPPED`. A user's package names
its descriptor under the entry point `orchestration.alert_sources`.
"""

from __future__ import annotations

import re

from orchestration import logs
from orchestration.alerts.source import AlertSource
from orchestration.alerts.sources.alertmanager import ALERTMANAGER
from orchestration.alerts.sources.cloudevents import CLOUDEVENTS
from orchestration.alerts.sources.grafana import GRAFANA
from orchestration.alerts.sources.pagerduty import PAGERDUTY
from orchestration.alerts.sources.prometheus import PROMETHEUS
from orchestration.alerts.sources.webhook import WEBHOOK
from orchestration.plugins import PluginError, plugin_registry

GROUP = "orchestration.alert_sources"
# With a full stop in it, so that no source that we ship later can take it. It becomes a part of a URL.
_OWN_NAME = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*")
_OWN_PATH = re.compile(r"[A-Za-z0-9._/-]*")
_SHIPPED = (ALERTMANAGER, PROMETHEUS, GRAFANA, PAGERDUTY, CLOUDEVENTS, WEBHOOK)
_log = logs.get_logger("intake")


def shipped_sources() -> tuple[AlertSource, ...]:
    """The sources that belong to the product."""
    return _SHIPPED


def alert_sources() -> tuple[AlertSource, ...]:
    """All sources from which alerts are accepted."""
    return (*_SHIPPED, *own_sources().usable)


def _validate(found: object) -> AlertSource:
    if not isinstance(found, AlertSource):
        raise PluginError(f"it names {found!r}, which is not an AlertSource")
    if not _OWN_NAME.fullmatch(found.name):
        raise PluginError(f"its name '{found.name}' is not of the form own.sensors")
    if not _OWN_PATH.fullmatch(found.path) or found.route in {source.route for source in _SHIPPED}:
        raise PluginError(f"its path '{found.path}' is taken, or has characters other than letters, digits and ._-/")
    if found.at_root:
        raise PluginError("it has a path at the root, which only shipped sources may have: it could hide one of ours")
    return found


own_sources = plugin_registry(
    GROUP, "alert source", _validate, lambda problem: _log.warning("alert_source.plugin_broken", message=problem)
)
