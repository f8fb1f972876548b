"""Payloads of alert sources, and their authentication."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.inbound import InboundAlert, subject_of
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest
from orchestration.alerts.sources.alertmanager import ALERTMANAGER
from orchestration.alerts.sources.registry import shipped_sources
from orchestration.alerts.sources.webhook import WEBHOOK
from orchestration.alerts.webhook_auth import WebhookAuth, sign
from orchestration.config.alerting import IntakeSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from tests.support.intake import a_webhook, one
from tests.unit.alerts.samples import NOON

SETTINGS = IntakeSettings()


def batch(source: AlertSource, payload: object, settings: IntakeSettings = SETTINGS) -> InboundBatch:
    return source.read(InboundRequest({}, json.dumps(payload).encode(), settings, NOON))


def read(*alerts: dict[str, Any], **values: Any) -> tuple[InboundAlert, ...]:
    return batch(ALERTMANAGER, a_webhook(*alerts, **values)).alerts


class TestAlertmanager:
    def test_is_read_into_an_alert(self) -> None:
        (alert,) = read(one())
        assert alert == InboundAlert(
            name="HighLoad",
            fingerprint="0f1e2d3c4b5a6978",
            firing=True,
            at=datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
            labels={"instance": "web-1", "severity": "critical"},
            title="load is high",
            summary="it is 42",
            severity=Severity.P0,
            scenario=Scenario.EXTERNAL_ALERT,
            details={
                "summary": "load is high",
                "description": "it is 42",
                "generatorURL": "http://prometheus/graph",
            },
            sender_group="{}:{}",
        )

    def test_each_alert_has_its_own_status_whatever_that_of_the_group(self) -> None:
        alerts = read(one("resolved"), one(), status="firing")
        assert [(alert.firing, alert.at.minute) for alert in alerts] == [(False, 30), (True, 0)]

    def test_keys_of_newer_releases_are_let_through(self) -> None:
        newer = one(notification_reason="new", routeLabels={"a": "b"})
        assert len(read(newer, notification_reason="new", routeLabels={"a": "b"})) == 1

    def test_an_alert_without_a_fingerprint_gets_the_same_one_every_time(self) -> None:
        first, second = read(one(fingerprint=None), one("resolved", fingerprint="not one!"))
        assert first.fingerprint == second.fingerprint

    def test_alerts_that_the_sender_left_out_are_counted(self) -> None:
        assert batch(ALERTMANAGER, a_webhook(one(), truncatedAlerts=7)).truncated == 7
        assert batch(ALERTMANAGER, a_webhook(one(), truncatedAlerts="x")).truncated == 0

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"status": "suppressed"}, r'"firing" or "resolved" in alerts\[0\].status, got \'suppressed\''),
            ({"labels": None}, r"an object in alerts\[0\].labels, got nothing"),
            ({"labels": {"a": [1]}}, r"a text in alerts\[0\].labels.a, got a list"),
            ({"startsAt": "yesterday"}, r"a time such as .* in alerts\[0\].startsAt, got 'yesterday'"),
            ({"startsAt": "2026-03-01T12:00:00"}, "a time such as"),
            ({"startsAt": 7}, "a time such as"),
            ({"labels": {str(number): "x" for number in range(101)}}, "at most 100"),
        ],
    )
    def test_what_cannot_be_used_is_refused_with_its_place(self, change: dict[str, Any], reason: str) -> None:
        with pytest.raises(PayloadRefusedError, match=reason):
            read(one(**change))

    def test_each_alert_is_judged_by_itself(self) -> None:
        labels = {str(number): "x" for number in range(101)}
        beyond = "9999-12-31T23:59:59-12:00"
        found = batch(
            ALERTMANAGER, a_webhook(one(), one(labels=labels), one(labels={"a": None}), one(startsAt=beyond), 7)
        )
        assert len(found.alerts) == 1
        assert [reason.partition(" in ")[2][:10] for reason in found.refused[:3]] == [
            "alerts[1].",
            "alerts[2].",
            "alerts[3].",
        ]
        assert "alerts[4]" in found.refused[3]

    @pytest.mark.parametrize("version", ["3", 4, None])
    def test_another_version_is_refused(self, version: object) -> None:
        with pytest.raises(PayloadRefusedError, match='expected "version": "4"'):
            read(one(), version=version)

    def test_too_many_at_once_are_refused_as_too_much(self) -> None:
        with pytest.raises(PayloadRefusedError, match="at most 2 alerts, got 3") as refused:
            batch(ALERTMANAGER, a_webhook(one(), one(), one()), IntakeSettings(max_alerts=2))
        assert refused.value.status == 413


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", "P0"),
        ("CRITICAL", "P0"),
        ("warning", "P2"),
        ("info", "P3"),
        ("p1", "P1"),
        ("sev2", "P2"),
        ("banana", "P1"),
        ("", "P1"),
    ],
)
def test_severities_are_mapped_and_an_unknown_word_counts_as_the_worse(word: str, severity: str) -> None:
    settings = IntakeSettings(severities={"Sev2": Severity.P2})
    (alert,) = batch(ALERTMANAGER, a_webhook(one(labels={"alertname": "A", "severity": word})), settings).alerts
    assert alert.severity is Severity(severity)


def test_the_scenario_comes_from_our_table_and_never_from_the_sender() -> None:
    settings = IntakeSettings(scenarios={"DiskFull": Scenario.HIGH_RESOURCE_USAGE})

    def scenario(name: str, **labels: str) -> Scenario:
        payload = a_webhook(one(labels={"alertname": name, **labels}))
        return batch(ALERTMANAGER, payload, settings).alerts[0].classified(settings).scenario

    assert scenario("X", scenario="security-alert") is Scenario.EXTERNAL_ALERT
    assert scenario("DiskFull", scenario="nonsense") is Scenario.HIGH_RESOURCE_USAGE
    assert scenario("X") is Scenario.EXTERNAL_ALERT


def test_an_alert_survives_being_stored() -> None:
    for alert in read(one(), one("resolved", labels={"drill": "true"})):
        assert InboundAlert.from_json(alert.to_json()) == alert


def test_the_subject_is_the_most_specific_label_else_the_name() -> None:
    assert [subject_of(alert) for alert in read(one(), one(labels={"alertname": "Odd"}))] == ["web-1", "Odd"]


class TestWebhook:
    def test_a_name_is_enough(self) -> None:
        (alert,) = batch(WEBHOOK, {"name": "disk"}).alerts
        assert (alert.name, alert.firing, alert.at, alert.severity) == ("disk", True, NOON, Severity.P1)

    def test_firing_and_resolved_are_the_same_alert_whatever_the_severity(self) -> None:
        alerts = [
            {"name": "disk", "labels": {"host": "a"}, "severity": "critical"},
            {"name": "disk", "labels": {"host": "a"}, "status": "resolved", "endsAt": "2026-03-01T12:00:00+01:00"},
        ]
        firing, resolved = batch(WEBHOOK, {"alerts": alerts}).alerts
        assert firing.fingerprint == resolved.fingerprint
        assert (firing.severity, resolved.firing, resolved.at.hour) == (Severity.P0, False, 11)

    @pytest.mark.parametrize("body", [{}, {"name": " "}, {"name": 7}, {"alerts": [{}, {"name": ""}]}, [], None, "x"])
    def test_without_a_name_it_is_refused(self, body: object) -> None:
        with pytest.raises(PayloadRefusedError, match="expected"):
            batch(WEBHOOK, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    *("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "name", "severity", "summary", "links"),
    *("event_action", "dedup_key", "payload", "specversion", "id", "source", "type", "subject", "time", "data"),
]
# What stands in a field often enough to get past the first check.
LIKELY = st.sampled_from(
    [
        "firing",
        "resolved",
        "trigger",
        "resolve",
        "1.0",
        "a.resolved",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00Z",
    ]
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON | LIKELY | st.just({"summary": "a", "source": "b"})), JSON)
def test_any_payload_is_read_or_refused(alert: dict[str, Any], other: object) -> None:
    for source in shipped_sources():
        for payload in (a_webhook(alert), {"version": "4", "alerts": other}, [alert], alert, other):
            with contextlib.suppress(PayloadRefusedError):
                alerts = batch(source, payload).alerts
                assert tuple(InboundAlert.from_json(one.to_json()) for one in alerts) == alerts


class TestAuthentication:
    BODY = b'{"name": "disk"}'

    def check(self, headers: dict[str, str], token: str | None = "t0ken", secret: str | None = "s3cret") -> int:
        try:
            WebhookAuth(token, secret, 300).verify(headers, self.BODY, 1000.0)
        except PayloadRefusedError as refused:
            return refused.status
        return 200

    def signed(self, stamp: int = 1000, secret: str = "s3cret", body: bytes = BODY) -> dict[str, str]:
        signature = sign(secret, stamp, body)
        return {"x-orchestrator-timestamp": str(stamp), "x-orchestrator-signature": signature}

    def test_an_unauthenticated_request_is_refused_before_its_body_is_read(self) -> None:
        auth = WebhookAuth("t0ken", "s3cret", 300)
        for headers in ({}, {"authorization": "Bearer x"}, self.signed(0)):
            with pytest.raises(PayloadRefusedError):
                auth.precheck(headers, 1000.0)
        auth.precheck(self.signed(secret="other"), 1000.0)
        auth.precheck({"authorization": "Bearer t0ken"}, 1000.0)

    def test_either_credential_is_accepted(self) -> None:
        assert self.check({"authorization": "Bearer t0ken"}) == 200
        assert self.check({"authorization": "bearer t0ken "}) == 200
        assert self.check(self.signed()) == 200

    @pytest.mark.parametrize(("stamp", "status"), [(700, 200), (699, 401), (1300, 200), (1301, 401)])
    def test_a_signature_is_good_for_a_time(self, stamp: int, status: int) -> None:
        assert self.check(self.signed(stamp)) == status

    def test_the_token_may_be_the_password_of_any_user(self) -> None:
        def basic(text: str) -> dict[str, str]:
            return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

        assert [self.check(basic(text)) for text in ("x:t0ken", ":t0ken", "x:t0ken2", "t0ken", "t0ken:")] == [
            *(200, 200, 401, 401, 401)
        ]
        assert self.check({"authorization": "Basic %%%"}) == 401
        assert self.check(basic("x:"), token="") == 401

    def test_a_credential_that_is_not_configured_is_refused(self) -> None:
        assert self.check({"authorization": "Bearer t0ken"}, token=None) == 401
        assert self.check(self.signed(), secret=None) == 401

    def test_without_any_secret_configured_even_an_empty_token_is_refused(self) -> None:
        assert self.check({"authorization": "Bearer "}, token=None, secret=None) == 403
        assert self.check({"authorization": "Bearer "}, token="", secret="") == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer"},
            {"authorization": "Bearer t0ken2"},
            {"authorization": "t0ken"},
            {"x-orchestrator-signature": "sha256=00"},
            {"x-orchestrator-signature": "sha256=00", "x-orchestrator-timestamp": "1e3"},
            {"x-orchestrator-signature": "ü", "x-orchestrator-timestamp": "1000"},
            {"x-orchestrator-signature": "", "x-orchestrator-timestamp": "9" * 500},
        ],
    )
    def test_anything_else_is_unauthenticated(self, headers: dict[str, str]) -> None:
        assert self.check(headers) == 401

    def test_a_signature_holds_for_its_secret_its_time_and_its_body(self) -> None:
        assert self.check(self.signed(secret="other")) == 401
        assert self.check(self.signed(body=b"{}")) == 401
        assert self.check({**self.signed(), "x-orchestrator-timestamp": "1001"}) == 401
