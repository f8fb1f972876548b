"""Prometheus itself, which takes this system for an Alertmanager: `POST /api/v2/alerts`. Pure.

The payload is a list of alerts: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. An alert has
no status. While it fires, Prometheus repeats it about once a minute and lets it end some minutes ahead each time; when
it is over, its end lies in the past. So the end is also the time by which a repetition has to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.payload import PayloadRefusedError, items, read_each, when
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest, Receipt
from orchestration.alerts.sources.alertmanager import read_alert


def read_prometheus(request: InboundRequest) -> InboundBatch:
    """The alerts of a body. Raises PayloadRefusedError."""
    payload = request.payload()
    if not isinstance(payload, list):
        raise PayloadRefusedError("expected a list of alerts, as Prometheus sends to Alertmanager, got something else")
    alerts = items(payload, "alerts", request.settings.max_alerts)
    read, refused = read_each(alerts, "alerts", lambda alert, place: _read(alert, place, request))
    return InboundBatch(read, refused=refused)


def _answer(_: Receipt) -> Mapping[str, Any]:
    # Alertmanager's body is empty, which JSON cannot be; Prometheus reads the status alone.
    return {}


PROMETHEUS = AlertSource(
    name="prometheus",
    summary="Prometheus without an Alertmanager (`alerting.alertmanagers`, API v2)",
    read=read_prometheus,
    path="prometheus/api/v2/alerts",
    documentation="https://prometheus.io/docs/prometheus/latest/configuration/configuration/#alertmanager_config",
    answer=_answer,
    at_root="/api/v2/alerts",
)


def _read(alert: Mapping[str, Any], place: str, request: InboundRequest) -> InboundAlert:
    ends = when(alert.get("endsAt"), f"{place}.endsAt")
    firing = ends is None or ends > request.received_at
    read = read_alert({**alert, "status": "firing" if firing else "resolved"}, place, request)
    return replace(read, expires=ends if firing else None)
