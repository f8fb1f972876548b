"""Reading what vendors publish about their own health: status pages, RSS feeds, Azure's Resource Health. Pure.

The documents are a stranger's: they are bounded, a document type is refused (entities are the known attacks on readers
of XML, https://docs.python.org/3/library/xml.html#xml-security), and what is not as documented counts as unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from xml.parsers import expat

_MOST_ITEMS = 100
_MOST_TEXT = 4_000
_MOST_DEPTH = 20
_SHOWN = 300
# Azure takes an item out of its feed soon after the end; one that was forgotten there is no news.
_NEWS = timedelta(days=3)
_OVER = re.compile(r"(?i)\b(?:resolved|mitigated|completed|cancelled)\b")
_TAGS = re.compile(r"<[^>]{0,500}>")
_FIELDS = frozenset({"title", "description", "category", "pubDate", "link"})


class ServiceState(StrEnum):
    """What a vendor says of its service."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded"
    OUTAGE = "outage"
    UNKNOWN = "unknown"

    @property
    def is_trouble(self) -> bool:
        """Whether the vendor itself reports that something is wrong."""
        return self in (ServiceState.DEGRADED, ServiceState.OUTAGE)


# From the best to the worst; unknown says nothing against another source.
_ORDER = (ServiceState.UNKNOWN, ServiceState.OPERATIONAL, ServiceState.DEGRADED, ServiceState.OUTAGE)
_COMPONENT = {
    "operational": ServiceState.OPERATIONAL,
    "under_maintenance": ServiceState.DEGRADED,
    "degraded_performance": ServiceState.DEGRADED,
    "partial_outage": ServiceState.OUTAGE,
    "major_outage": ServiceState.OUTAGE,
}
_INDICATOR = {
    "none": ServiceState.OPERATIONAL,
    "maintenance": ServiceState.DEGRADED,
    "minor": ServiceState.DEGRADED,
    "major": ServiceState.OUTAGE,
    "critical": ServiceState.OUTAGE,
}
_AVAILABILITY = {
    "available": ServiceState.OPERATIONAL,
    "degraded": ServiceState.DEGRADED,
    "unavailable": ServiceState.OUTAGE,
}


@dataclass(frozen=True, slots=True)
class AnnouncedOutage:
    """An incident that a vendor has announced and not ended."""

    title: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """What one document says."""

    state: ServiceState
    outages: tuple[AnnouncedOutage, ...] = ()
    detail: str = ""


def worst_state(states: Sequence[ServiceState]) -> ServiceState:
    """The worst of several; unknown where nothing is known."""
    return max(states, key=_ORDER.index, default=ServiceState.UNKNOWN)


def read_document(body: bytes, services: Sequence[str], now: datetime) -> ServiceReport:
    """Read a status page: JSON in the form of Statuspage, or RSS. `services` are the parts of it that matter."""
    if body.lstrip()[:1] == b"{":
        return _statuspage(body, services)
    return _feed(body, services, now)


def read_availability(data: Any) -> ServiceReport:
    """Read an availability status of Azure's Resource Health:
    https://learn.microsoft.com/rest/api/resourcehealth/availability-statuses/get-by-resource."""
    properties = _mapping(_mapping(data).get("properties"))
    state = _AVAILABILITY.get(_text(properties.get("availabilityState")).lower(), ServiceState.UNKNOWN)
    title, summary = _text(properties.get("title")), _text(properties.get("summary"))
    # Microsoft's own spelling of the key.
    since = _moment(_text(properties.get("occuredTime")))
    outages = (AnnouncedOutage(_short(title or summary), since),) if state.is_trouble else ()
    return ServiceReport(state, outages, _short(summary))


def _statuspage(body: bytes, services: Sequence[str]) -> ServiceReport:
    """`status.json` or `summary.json`: https://www.githubstatus.com/api."""
    try:
        data = _mapping(json.loads(body))
    except (ValueError, RecursionError):
        return ServiceReport(ServiceState.UNKNOWN, detail="not JSON")
    status = _mapping(data.get("status"))
    overall = _INDICATOR.get(_text(status.get("indicator")), ServiceState.UNKNOWN)
    components = [_mapping(one) for one in _list(data.get("components"))]
    ours = [one for one in components if _text(one.get("name")) in services]
    states = [_COMPONENT.get(_text(one.get("status")), ServiceState.UNKNOWN) for one in ours]
    # A page whose parts were renamed still has its overall state.
    state = worst_state(states) if states else overall
    outages = tuple(
        AnnouncedOutage(_short(_text(one.get("name"))), _moment(_text(one.get("started_at") or one.get("created_at"))))
        for one in map(_mapping, _list(data.get("incidents")))
    )
    return ServiceReport(state, outages if state.is_trouble else (), _short(_text(status.get("description"))))


def _feed(body: bytes, services: Sequence[str], now: datetime) -> ServiceReport:
    """An RSS feed of announcements, empty while all is well: https://azure.status.microsoft/en-us/status/feed/."""
    try:
        items = _items(body)
    except (expat.ExpatError, _DocumentRefusedError, UnicodeError, ValueError) as error:
        return ServiceReport(ServiceState.UNKNOWN, detail=f"not a feed ({type(error).__name__})")
    outages = []
    for item in items:
        text = " ".join((item.get("title", ""), item.get("category", ""), item.get("description", ""))).lower()
        since = _published(item.get("pubDate", ""))
        current = not _OVER.search(item.get("title", "")) and (since is None or now - since < _NEWS)
        if current and (not services or any(service.lower() in text for service in services)):
            outages.append(AnnouncedOutage(_short(_TAGS.sub(" ", item.get("title", ""))), since))
    return ServiceReport(ServiceState.OUTAGE if outages else ServiceState.OPERATIONAL, tuple(outages))


class _DocumentRefusedError(Exception):
    """The document has a part that no feed needs, or is too large."""


class _FeedReader:
    """Collects the items of a feed while a parser walks through it."""

    def __init__(self) -> None:
        self.items: list[dict[str, str]] = []
        self.is_feed = False
        self._path: list[str] = []

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        self._path.append(name.rpartition(":")[2])
        if len(self._path) > _MOST_DEPTH:
            raise _DocumentRefusedError("too deep")
        self.is_feed = self.is_feed or self._path == ["rss", "channel"]
        if self._path == ["rss", "channel", "item"]:
            if len(self.items) >= _MOST_ITEMS:
                raise _DocumentRefusedError("too many items")
            self.items.append({})

    def end(self, _name: str) -> None:
        self._path.pop()

    def text(self, text: str) -> None:
        if self._path[:3] == ["rss", "channel", "item"] and len(self._path) == 4 and self._path[3] in _FIELDS:
            item = self.items[-1]
            item[self._path[3]] = (item.get(self._path[3], "") + text)[:_MOST_TEXT]

    def refuse(self, *_: object) -> None:
        raise _DocumentRefusedError("a document type")


def _items(body: bytes) -> list[dict[str, str]]:
    reader, parser = _FeedReader(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
    parser.Parse(body, True)
    if not reader.is_feed:
        raise _DocumentRefusedError("no feed")
    return reader.items


def _published(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value[:_MOST_ITEMS] if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value[:_MOST_TEXT] if isinstance(value, str) else ""


def _short(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:_SHOWN]
