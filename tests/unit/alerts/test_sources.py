"""Prometheus itself, Grafana, whatever can page PagerDuty, and CloudEvents: what their deliveries are read into."""

from __future__ import annotations

import hmac
import json
from datetime import timedelta
from hashlib import sha256
from typing import Any, ClassVar

import pytest

from orchestration.alerts.inbound import InboundAlert, subject_of
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest, Receipt
from orchestration.alerts.sources.cloudevents import CLOUDEVENTS
from orchestration.alerts.sources.grafana import GRAFANA, GrafanaAuth
from orchestration.alerts.sources.pagerduty import PAGERDUTY, RoutingKeyAuth
from orchestration.alerts.sources.prometheus import PROMETHEUS
from orchestration.config.alerting import IntakeSettings
from orchestration.domain.severity import Severity
from tests.unit.alerts.samples import NOON


def batch(source: AlertSource, payload: object, headers: dict[str, str] | None = None) -> InboundBatch:
    return source.read(InboundRequest(headers or {}, json.dumps(payload).encode(), IntakeSettings(), NOON))


class TestPrometheus:
    def alert(self, **changes: Any) -> dict[str, Any]:
        return {
            "labels": {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"},
            "annotations": {"summary": "the disk of db-1 is full", "runbook_url": "https://runbooks.example/disk"},
            "startsAt": "2026-03-01T11:50:00.5Z",
            "endsAt": "2026-03-01T12:04:00Z",
            "generatorURL": "http://prometheus.example/graph?g0.expr=1",
            **changes,
        }

    def test_what_ends_later_fires_and_has_to_be_repeated_by_then(self) -> None:
        (alert,) = batch(PROMETHEUS, [self.alert()]).alerts
        assert (alert.name, alert.firing, alert.severity, subject_of(alert)) == (
            "DiskFull",
            True,
            Severity.P0,
            "db-1:9100",
        )
        assert alert.expires == NOON + timedelta(minutes=4)
        assert alert.details["runbook_url"] == "https://runbooks.example/disk"
        assert InboundAlert.from_json(alert.to_json()) == alert

    def test_what_has_ended_is_resolved_and_the_same_alert(self) -> None:
        firing, over = batch(PROMETHEUS, [self.alert(), self.alert(endsAt="2026-03-01T11:59:00Z")]).alerts
        assert (over.firing, over.expires, over.fingerprint) == (False, None, firing.fingerprint)

    def test_another_body_is_refused(self) -> None:
        with pytest.raises(PayloadRefusedError, match="expected a list of alerts"):
            batch(PROMETHEUS, {"alerts": []})


class TestGrafana:
    def group(self, **changes: Any) -> dict[str, Any]:
        alert = {
            "status": "firing",
            "labels": {"alertname": "High latency", "grafana_folder": "Shop", "severity": "warning"},
            "annotations": {"summary": "p99 is 4 s"},
            "startsAt": "2026-03-01T11:58:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://grafana.example/alerting/1/edit",
            "fingerprint": "c6eadffa33fcdf37",
            "silenceURL": "https://grafana.example/alerting/silence/new",
            "dashboardURL": "https://grafana.example/d/1",
            "panelURL": "https://grafana.example/d/1?viewPanel=2",
            "values": {"B": 4.2},
            **changes,
        }
        return {
            "receiver": "oncall", "status": "firing", "orgId": 1, "alerts": [alert], "groupLabels": {},
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "https://grafana.example/", "version": "1",
            "groupKey": "{}:{}", "truncatedAlerts": 0, "title": "[FIRING:1]", "state": "alerting", "message": "…",
        }  # fmt: skip

    def test_is_read_with_its_links(self) -> None:
        (alert,) = batch(GRAFANA, self.group()).alerts
        assert (alert.name, alert.severity, alert.title) == ("High latency", Severity.P2, "p99 is 4 s")
        assert {"dashboardURL", "panelURL", "generatorURL", "silenceURL"} <= set(alert.details)

    SECRET = "s3cret"
    BODY = b'{"version": "1"}'

    def signed(self, text: bytes, secret: str = SECRET) -> dict[str, str]:
        return {"x-grafana-alerting-signature": hmac.new(secret.encode(), text, sha256).hexdigest()}

    def check(self, headers: dict[str, str], secret: str | None = SECRET) -> int:
        try:
            GrafanaAuth("t0ken", secret, 300).verify(headers, self.BODY, 1000.0)
        except PayloadRefusedError as refused:
            return refused.status
        return 200

    def test_its_signatures_are_accepted(self) -> None:
        stamp = {"x-grafana-alerting-timestamp": "900"}
        assert self.check(self.signed(self.BODY)) == 200
        assert self.check({**self.signed(b"900:" + self.BODY), **stamp}) == 200
        assert self.check({"authorization": "Bearer t0ken"}) == 200

    @pytest.mark.parametrize("stamp", ["600", "1400", "901", "x", ""])
    def test_another_time_is_refused(self, stamp: str) -> None:
        headers = {**self.signed(b"900:" + self.BODY), "x-grafana-alerting-timestamp": stamp}
        assert self.check(headers) == 401

    def test_another_secret_or_body_is_refused(self) -> None:
        assert self.check(self.signed(self.BODY, "other")) == 401
        assert self.check(self.signed(b"{}")) == 401
        assert self.check(self.signed(self.BODY, ""), secret=None) == 401


class TestPagerDuty:
    def event(self, **changes: Any) -> dict[str, Any]:
        payload = {
            "summary": "DISK at 99% on machine prod-datapipe03", "source": "prod-datapipe03", "severity": "critical",
            "timestamp": "2026-03-01T11:55:00Z", "component": "mysql", "group": "prod", "class": "disk",
            "custom_details": {"free": 1, "note": "since the backup"},
        }  # fmt: skip
        return {
            "routing_key": "t0ken", "event_action": "trigger", "dedup_key": "disk/03", "payload": payload,
            "links": [{"href": "https://runbooks.example/disk", "text": "Runbook"}], "client": "Monitor",
            "client_url": "https://monitor.example", **changes,
        }  # fmt: skip

    def test_a_trigger_is_read(self) -> None:
        (alert,) = batch(PAGERDUTY, self.event()).alerts
        assert (alert.name, alert.severity, subject_of(alert)) == ("disk", Severity.P0, "prod-datapipe03")
        assert alert.details == {
            "free": "1", "note": "since the backup", "Runbook": "https://runbooks.example/disk",
            "Monitor": "https://monitor.example",
        }  # fmt: skip
        assert "t0ken" not in json.dumps(alert.to_json())

    def test_a_resolve_ends_it_by_its_key_alone(self) -> None:
        (began,) = batch(PAGERDUTY, self.event()).alerts
        (over,) = batch(PAGERDUTY, {"event_action": "resolve", "dedup_key": "disk/03"}).alerts
        assert (over.firing, over.fingerprint) == (False, began.fingerprint)

    def test_the_answers_are_those_that_its_clients_read(self) -> None:
        without = batch(PAGERDUTY, self.event(dedup_key=None))
        assert without.key
        answer = PAGERDUTY.answer(Receipt(1, key=without.key))
        assert answer == {"status": "success", "message": "Event processed", "dedup_key": without.key}
        assert batch(PAGERDUTY, self.event(event_action="acknowledge")) == InboundBatch(key="disk/03")

    @pytest.mark.parametrize(
        "changes",
        [{"event_action": "start"}, {"payload": None}, {"payload": {"summary": ""}}, {"dedup_key": "x" * 256},
         {"event_action": "resolve", "dedup_key": ""}],
    )  # fmt: skip
    def test_an_event_that_cannot_be_used_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(PayloadRefusedError, match="expected"):
            batch(PAGERDUTY, self.event(**changes))

    @pytest.mark.parametrize(("key", "status"), [("t0ken", 200), ("other", 401), (None, 401), ("\ud800", 401)])
    def test_the_routing_key_is_the_token(self, key: object, status: int) -> None:
        found = 200
        try:
            RoutingKeyAuth("t0ken", None, 300).verify({}, json.dumps({"routing_key": key}).encode(), 1000.0)
        except PayloadRefusedError as refused:
            found = refused.status
        assert found == status

    def test_without_a_token_it_is_closed(self) -> None:
        with pytest.raises(PayloadRefusedError) as refused:
            RoutingKeyAuth("", "s3cret", 300).precheck({}, 1000.0)
        assert refused.value.status == 403


class TestCloudEvents:
    EVENT: ClassVar[dict[str, Any]] = {
        "specversion": "1.0", "id": "7", "source": "/sensors/3", "type": "com.example.fan.fired", "subject": "rack-2",
        "time": "2026-03-01T11:59:00Z", "data": {"severity": "critical", "summary": "the fan stands still"},
    }  # fmt: skip

    def structured(self, payload: object, kind: str = "application/cloudevents+json; charset=utf-8") -> InboundBatch:
        return batch(CLOUDEVENTS, payload, {"content-type": kind})

    def test_the_three_modes_are_the_same_event(self) -> None:
        (one,) = self.structured(self.EVENT).alerts
        attributes = {f"ce-{name}": value for name, value in self.EVENT.items() if name != "data"}
        (binary,) = batch(CLOUDEVENTS, self.EVENT["data"], {**attributes, "content-type": "application/json"}).alerts
        many = self.structured([self.EVENT, {"id": "8"}], "application/cloudevents-batch+json")
        assert one == binary == many.alerts[0]
        assert (one.name, one.severity, subject_of(one)) == ("com.example.fan", Severity.P0, "rack-2")
        assert "events[1].specversion" in many.refused[0]

    def test_the_type_or_the_data_says_when_it_is_over(self) -> None:
        (began,) = self.structured(self.EVENT).alerts
        for change in (
            {"type": "com.example.fan.resolved"},
            {"data": {"status": "resolved"}, "type": "com.example.fan"},
        ):
            (over,) = self.structured({**self.EVENT, **change}).alerts
            assert (over.firing, over.fingerprint) == (False, began.fingerprint)

    def test_another_version_is_refused(self) -> None:
        with pytest.raises(PayloadRefusedError, match="CloudEvents 1"):
            self.structured({**self.EVENT, "specversion": "0.3"})
