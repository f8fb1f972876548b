"""CloudEvents 1.0 over HTTP: structured, in batches, and binary. Pure.

The attributes: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md, the modes:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md. `data` is read as an
alert of the webhook for tools of one's own. What it leaves out comes from the attributes: `type` is the name, `source`
and `subject` are labels, `time` is when it began or ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.payload import PayloadRefusedError, items, mapping, read_each
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest
from orchestration.alerts.sources.webhook import read_alert

_BATCH = "application/cloudevents-batch"
_EVENT = "application/cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")
# The last word of a type such as `com.example.disk.resolved`, where the data has no status.
_ENDS = {"resolved": "resolved", "cleared": "resolved", "closed": "resolved", "recovered": "resolved"}
_BEGINS = {"firing": "firing", "fired": "firing", "triggered": "firing", "opened": "firing"}


def read_events(request: InboundRequest) -> InboundBatch:
    """The alerts of a delivery. Raises PayloadRefusedError."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower().removesuffix("+json")
    if kind == _BATCH:
        events = items(request.payload(), "events", request.settings.max_alerts)
    elif kind == _EVENT:
        events = [request.payload()]
    else:
        events = [_binary(request)]
    read, refused = read_each(events, "events", lambda event, place: _read(event, place, request))
    return InboundBatch(read, refused=refused)


def _binary(request: InboundRequest) -> Mapping[str, Any]:
    """The event of a request whose attributes are headers, and whose body is the data."""
    # Header values are percent-encoded (HTTP protocol binding, section 3.1.3.2).
    attributes = {
        name.removeprefix("ce-"): unquote(value) for name, value in request.headers.items() if name.startswith("ce-")
    }
    return {**attributes, "data": request.payload() if request.body.strip() else {}}


def _read(event: Mapping[str, Any], place: str, request: InboundRequest) -> InboundAlert:
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise PayloadRefusedError(f"expected a text in {place}.{name}, got {event.get(name)!r:.80}")
    if not event["specversion"].startswith("1."):
        raise PayloadRefusedError(f"expected CloudEvents 1 in {place}.specversion, got {event['specversion']!r:.80}")
    data = dict(mapping(event.get("data") or {}, f"{place}.data"))
    name, status = _name_and_status(event["type"])
    data.setdefault("name", name)
    data.setdefault("status", status)
    data["labels"] = {**_labels(event), **mapping(data.get("labels") or {}, f"{place}.data.labels")}
    if event.get("time"):
        data.setdefault("startsAt" if data["status"] == "firing" else "endsAt", event["time"])
    return read_alert(data, f"{place}.data", request)


def _name_and_status(kind: str) -> tuple[str, str]:
    stem, _, last = kind.rpartition(".")
    status = _ENDS.get(last.lower()) or _BEGINS.get(last.lower())
    # Without that word, so that the beginning and the end of an alert have one name.
    return (stem, status) if status and stem else (kind, "firing")


def _labels(event: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that say what the event is about. `source` is the name of the sender's kind here."""
    return {"instance": event["source"], **({"subject": event["subject"]} if event.get("subject") else {})}


CLOUDEVENTS = AlertSource(
    name="cloudevents",
    summary="CloudEvents 1.0 over HTTP",
    read=read_events,
    documentation="https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md",
)
