"""What vendors report about themselves, read from servers on loopback, through the collector and the console."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from orchestration.clock import FakeClock
from orchestration.config.schema import Configuration
from orchestration.monitoring.collectors.service_status import ServiceStatusWatch
from orchestration.monitoring.health.service_documents import ServiceState
from orchestration.monitoring.health.service_status import ServiceStatusReader, status_page
from tests.support.console import ConsoleProject
from tests.support.credential_vendors import ADMIN, Received, VendorServer, vendor_server

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Azure Status</title>%s</channel></rss>"""
OUTAGE = b"""<item><title>Azure OpenAI - Sweden Central</title><description>Errors</description>
<pubDate>Sun, 29 Nov 2026 10:00:00 GMT</pubDate></item>"""
ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a"


class Vendors:
    """A status feed, and the Azure Resource Manager; both may be changed at any time."""

    def __init__(self) -> None:
        self.feed: Callable[[], Response] = lambda: Response(FEED % b"", media_type="application/rss+xml")
        self.availability = "Available"

    def __call__(self, server: VendorServer, request: Received) -> Response:
        if request.path == "/feed/":
            return self.feed()
        if request.path.endswith("/oauth2/v2.0/token"):
            good = request.form.get("client_secret") == ADMIN
            return JSONResponse({"access_token": "arm"} if good else {"error": "invalid_client"}, 200 if good else 401)
        here = f"{ACCOUNT}/providers/Microsoft.ResourceHealth/availabilityStatuses/current"
        if request.path != here or request.bearer != "arm" or "api-version" not in request.query:
            return JSONResponse({"error": {"code": "AuthorizationFailed"}}, 403)
        return JSONResponse({"properties": {"availabilityState": self.availability, "title": "It is down"}})


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture
async def server(vendors: Vendors) -> AsyncIterator[VendorServer]:
    async with vendor_server(vendors) as running:
        yield running


def settings(url: str) -> dict[str, Any]:
    azure = {"endpoint": "http://127.0.0.1:9", "defaultModel": "m", "statusUrl": f"{url}/feed/"}
    options = {"subscription": "s", "resourceGroup": "g", "account": "a", "tenant": "t", "clientId": "c"}
    revoker = {
        "vendor": "azure",
        "variables": ["AZURE_OPENAI_API_KEY"],
        "baseUrl": url,
        "options": {**options, "clientSecretEnv": "ADMIN", "authority": url},
    }
    return {"runtime": {"defaultProvider": "azure", "azure": azure}, "revokers": {"azure": revoker}}


async def test_the_feed_and_resource_health_become_a_signal_and_what_is_not_read_becomes_none(
    server: VendorServer, vendors: Vendors
) -> None:
    configuration = Configuration.model_validate(settings(server.url))
    reader = ServiceStatusReader(lambda: configuration, {"ADMIN": ADMIN}, FakeClock(NOW))
    watch = ServiceStatusWatch(reader, FakeClock(NOW))

    async def value() -> float | None:
        return next((signal.value for signal in await watch.collect()), None)

    assert await value() == 0.0
    vendors.feed = lambda: Response(FEED % OUTAGE)
    (signal,) = await watch.collect()
    assert (signal.name, signal.value, signal.labels) == ("vendor_outage", 1.0, {"provider": "azure"})
    assert signal.evidence["announced"] == ["Azure OpenAI - Sweden Central"]
    vendors.feed = lambda: Response(FEED % b"")
    vendors.availability = "Unavailable"
    (signal,) = await watch.collect()
    assert (signal.value, signal.evidence["announced"]) == (1.0, ["It is down"])
    # Damaged, too large, moved in a circle, and away: none of them is news about the provider.
    vendors.availability = "?"
    for body in (FEED % OUTAGE)[:-30], b"<html>", b"\0" * 10, b"x" * 2_100_000:
        vendors.feed = lambda body=body: Response(body)
        assert await value() is None
    vendors.feed = lambda: RedirectResponse(f"{server.url}/feed/")
    assert await value() is None
    vendors.feed = lambda: Response(status_code=503)
    assert await value() is None


async def test_only_vendors_in_use_are_asked_and_only_at_their_own_address() -> None:
    providers = {
        "ollama": {"defaultModel": "m"},
        "azure": {"endpoint": "https://lab.openai.azure.com", "defaultModel": "m"},
        "other": {"type": "azure", "endpoint": "https://azure.com.example", "defaultModel": "m"},
        "openai": {"defaultModel": "m"},
        "own": {"type": "openai", "baseUrl": "http://127.0.0.1:9/v1", "defaultModel": "m"},
        "github": {"defaultModel": "m", "enabled": False},
    }
    configuration = Configuration.model_validate({"runtime": providers})
    reader = ServiceStatusReader(lambda: configuration, {}, FakeClock(NOW))
    assert reader.readable() == ("azure", "openai")
    assert status_page(configuration.runtime.providers["openai"]) == "https://status.openai.com/api/v2/summary.json"
    assert (await reader.read("own")).state is ServiceState.UNKNOWN


async def test_the_console_and_the_doctor_tell_what_the_vendor_reports(
    tmp_path: Path, server: VendorServer, vendors: Vendors
) -> None:
    project = ConsoleProject(tmp_path)
    project.document |= settings(server.url)
    project.document["agents"] = [{"id": "planner"}]
    project.document["workflow"] = []
    project.write()
    (tmp_path / ".env").write_text(f"AZURE_OPENAI_API_KEY=k3y-of-the-test-1\nADMIN={ADMIN}\n")

    async def call(*arguments: str) -> Any:
        return await anyio.to_thread.run_sync(lambda: project.call(*arguments))

    well = await call("providers", "health", "--json")
    assert (well.code, json.loads(well.out)[0]["state"]) == (0, "operational")
    vendors.feed = lambda: Response(FEED % OUTAGE.replace(b"29 Nov 2026", _today()))
    ill = await call("providers", "health", "azure")
    assert (ill.code, "outage" in ill.out, "Sweden Central" in ill.out) == (1, True, True)
    assert "vendor of azure" in (await call("doctor")).out
    assert ADMIN not in ill.out + well.out
    unknown = await call("providers", "health", "nobody")
    assert (unknown.code, "There is no provider 'nobody'" in unknown.err) == (2, True)


def _today() -> bytes:
    return datetime.now(UTC).strftime("%d %b %Y").encode()
