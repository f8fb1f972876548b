"""Reads an export of Grafana OnCall and makes our configuration of it."""

from orchestration.app.grafana_oncall.conversion import OnCallImport, convert
from orchestration.app.grafana_oncall.export import OnCallExport, read_export

__all__ = ["OnCallExport", "OnCallImport", "convert", "read_export"]
