"""Collectors from installed packages: those that are named under the entry point `orchestration.collectors`."""

from __future__ import annotations

from orchestration import logs
from orchestration.monitoring.collectors.descriptor import CollectorDescriptor
from orchestration.monitoring.signals.catalogue import SIGNALS
from orchestration.plugins import PluginError, plugin_registry

GROUP = "orchestration.collectors"
_SHIPPED = frozenset(signal.name for signal in SIGNALS)

_log = logs.get_logger(__name__)


def _validate(loaded: object) -> CollectorDescriptor:
    if not isinstance(loaded, CollectorDescriptor):
        raise PluginError(f"expected a CollectorDescriptor, got {type(loaded).__name__}")
    if "." not in loaded.name:
        # Also reserved for later: a collector of ours without a full stop can never collide with one that is installed.
        raise PluginError(f"its name must have a full stop in it, such as own.{loaded.name}")
    # Rules that ship with the product read these names: a second source would make them fire or resolve at random.
    if taken := sorted(_SHIPPED & {signal.name for signal in loaded.signals}):
        raise PluginError(f"the product has a signal '{taken[0]}' already; choose another name")
    if not loaded.seconds > 0:
        raise PluginError("its interval must be longer than zero seconds")
    return loaded


own_collectors = plugin_registry(
    GROUP, "collector", _validate, lambda problem: _log.warning("collector.plugin_broken", message=problem)
)
