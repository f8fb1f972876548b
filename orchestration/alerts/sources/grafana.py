"""The webhook contact point of Grafana Alerting. Pure.

Its payload is that of Alertmanager's webhook with additions, under `"version": "1"`:
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.source import AlertSource
from orchestration.alerts.sources.alertmanager import read_group
from orchestration.alerts.webhook_auth import UNAUTHENTICATED, WebhookAuth, check_age, unix_seconds

# The names that Grafana's form suggests. The second is empty there unless somebody fills it in, and then nothing
# protects against a delivery that is recorded and sent again.
SIGNATURE_HEADER = "x-grafana-alerting-signature"
TIMESTAMP_HEADER = "x-grafana-alerting-timestamp"


@dataclass(frozen=True, slots=True)
class GrafanaAuth:
    """Accepts what `WebhookAuth` accepts, and Grafana's own signature by the same secret: HMAC-SHA256 in hexadecimal
    digits, of the body, or of the time of sending in Unix seconds, a colon and the body."""

    token: str | None
    secret: str | None
    replay_seconds: float

    def precheck(self, headers: Mapping[str, str], now: float) -> None:
        """Refuse a request without usable credentials, before its body is read. Raises PayloadRefusedError."""
        if not self._is_signed(headers):
            self._usual.precheck(headers, now)
        elif TIMESTAMP_HEADER in headers:
            check_age(unix_seconds(headers, TIMESTAMP_HEADER), now, self.replay_seconds)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Check the credentials or the signature. Raises PayloadRefusedError."""
        if not self._is_signed(headers):
            self._usual.verify(headers, body, now)
            return
        self.precheck(headers, now)
        stamp = headers.get(TIMESTAMP_HEADER)
        signed = body if stamp is None else f"{stamp}:".encode() + body
        expected = hmac.new((self.secret or "").encode(), signed, sha256).hexdigest()
        if not hmac.compare_digest(headers[SIGNATURE_HEADER].strip().encode(), expected.encode()):
            raise PayloadRefusedError(
                f"the signature is wrong; give the contact point the same secret, and {TIMESTAMP_HEADER} as its "
                "timestamp header",
                UNAUTHENTICATED,
            )

    @property
    def _usual(self) -> WebhookAuth:
        return WebhookAuth(self.token, self.secret, self.replay_seconds)

    def _is_signed(self, headers: Mapping[str, str]) -> bool:
        return bool(self.secret) and SIGNATURE_HEADER in headers


GRAFANA = AlertSource(
    name="grafana",
    summary="Grafana Alerting, webhook contact point",
    read=read_group,
    documentation="https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/"
    "integrations/webhook-notifier/",
    authentication=GrafanaAuth,
)
