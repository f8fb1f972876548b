"""What is made of vendors' documents about their own health, damaged and hostile ones included."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.monitoring.health.service_documents import (
    ServiceState,
    read_availability,
    read_document,
    worst_state,
)

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
OURS = ("Azure OpenAI", "API Requests")


def feed(*items: str, head: str = "") -> bytes:
    return f"""<?xml version="1.0" encoding="utf-8"?>{head}
    <rss xmlns:a10="http://www.w3.org/2005/Atom" version="2.0"><channel>
    <title>Azure Status</title><link>https://azure.status.microsoft/</link>
    <description>Azure Status</description><lastBuildDate>Sun, 29 Nov 2026 11:50:00 Z</lastBuildDate>
    {"".join(items)}</channel></rss>""".encode()


def item(title: str, text: str = "", published: str = "Sun, 29 Nov 2026 10:00:00 GMT", *categories: str) -> str:
    tags = "".join(f"<category>{one}</category>" for one in categories)
    about = f"<description>&lt;p&gt;{text}&lt;/p&gt;</description>"
    return f"<item><title>{title}</title>{about}{tags}<pubDate>{published}</pubDate></item>"


def page(indicator: str = "none", *, incidents: list[dict[str, str]] | None = None, **components: str) -> bytes:
    named = [{"name": name.replace("_", " "), "status": status} for name, status in components.items()]
    status = {"indicator": indicator, "description": "What it says"}
    return json.dumps({"page": {}, "status": status, "components": named, "incidents": incidents or []}).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (feed(), ServiceState.OPERATIONAL),
        (feed(item("Azure OpenAI - East US - Investigating", "Requests fail")), ServiceState.OUTAGE),
        (feed(item("Errors in East US", "Customers of Azure OpenAI Service see errors")), ServiceState.OUTAGE),
        (feed(item("Errors", "", "Sun, 29 Nov 2026 10:00:00 GMT", "Azure OpenAI", "East US")), ServiceState.OUTAGE),
        (feed(item("Virtual Machines - West Europe", "Restarts")), ServiceState.OPERATIONAL),
        (feed(item("Azure OpenAI - RESOLVED", "It was a bad deployment")), ServiceState.OPERATIONAL),
        (feed(item("Azure OpenAI", "Old", "Mon, 23 Nov 2026 10:00:00 GMT")), ServiceState.OPERATIONAL),
        (feed(item("Azure OpenAI", "When?", "yesterday")), ServiceState.OUTAGE),
        (page(), ServiceState.OPERATIONAL),
        (page("minor"), ServiceState.DEGRADED),
        (page("critical"), ServiceState.OUTAGE),
        (page("purple"), ServiceState.UNKNOWN),
        (page("major", API_Requests="operational", Pages="major_outage"), ServiceState.OPERATIONAL),
        (page("none", API_Requests="partial_outage"), ServiceState.OUTAGE),
        (page("minor", Pages="degraded_performance"), ServiceState.DEGRADED),
        (b'{"status": {"indicator": "major"}}', ServiceState.OUTAGE),
        (b'{"status": "fine"}', ServiceState.UNKNOWN),
        (b"{broken", ServiceState.UNKNOWN),
        (b"<html><body>Sign in, please</body></html>", ServiceState.UNKNOWN),
        (feed(item("Azure OpenAI"))[:-40], ServiceState.UNKNOWN),
        (b"", ServiceState.UNKNOWN),
        (b"{" + b'"a":{' * 5000 + b"}" * 5001, ServiceState.UNKNOWN),
        (b"<rss><channel>" + b"<item/>" * 500 + b"</channel></rss>", ServiceState.UNKNOWN),
        (b"<rss>" * 5000, ServiceState.UNKNOWN),
    ],
)
def test_only_a_current_announcement_about_what_we_use_is_an_outage(body: bytes, expected: ServiceState) -> None:
    assert read_document(body, OURS, NOW).state is expected


def test_the_vendors_words_and_time_are_kept_as_plain_text() -> None:
    report = read_document(feed(item("Azure OpenAI &lt;b&gt;down&lt;/b&gt;\n now", "x" * 10_000)), OURS, NOW)
    (outage,) = report.outages
    assert outage.title == "Azure OpenAI down now"
    assert outage.since == datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
    incidents = [{"name": "Errors of the API", "started_at": "2026-11-29T09:30:00Z", "impact": "major"}]
    (outage,) = read_document(page("major", incidents=incidents), (), NOW).outages
    assert (outage.title, outage.since) == ("Errors of the API", datetime(2026, 11, 29, 9, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/evil.dtd">',
    ],
)
def test_entities_are_refused_and_nothing_is_fetched_for_them(head: str) -> None:
    report = read_document(feed(item("Azure OpenAI &a;", "&b;"), head=head), OURS, NOW)
    assert (report.state, report.outages) == (ServiceState.UNKNOWN, ())


@given(st.binary(max_size=400))
def test_no_document_is_too_damaged(body: bytes) -> None:
    for prefix in (b"", b"{", b"<rss><channel>", b'{"status":'):
        assert read_document(prefix + body, OURS, NOW).state in ServiceState


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"properties": {"availabilityState": "Available"}}, ServiceState.OPERATIONAL),
        (
            {"properties": {"availabilityState": "Unavailable", "title": "Down", "occuredTime": "?"}},
            ServiceState.OUTAGE,
        ),
        ({"properties": {"availabilityState": "Degraded"}}, ServiceState.DEGRADED),
        ({"properties": {"availabilityState": "Unknown"}}, ServiceState.UNKNOWN),
        ({"properties": []}, ServiceState.UNKNOWN),
        ([1], ServiceState.UNKNOWN),
        (None, ServiceState.UNKNOWN),
    ],
)
def test_resource_health_is_read(data: object, expected: ServiceState) -> None:
    assert read_availability(data).state is expected


def test_what_is_unknown_says_nothing_against_another_source() -> None:
    assert worst_state([ServiceState.UNKNOWN, ServiceState.OPERATIONAL]) is ServiceState.OPERATIONAL
    assert worst_state([ServiceState.OPERATIONAL, ServiceState.OUTAGE]) is ServiceState.OUTAGE
    assert worst_state([]) is ServiceState.UNKNOWN
