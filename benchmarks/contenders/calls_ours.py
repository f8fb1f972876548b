"""The gateway: one route, or a dead one with a fallback."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.contenders.calls import BODY, measure, measure_each
from orchestration.clock import SystemClock
from orchestration.config.schema import Configuration
from orchestration.events import EventBus
from orchestration.providers.budget import Budgets
from orchestration.providers.gateway import Gateway
from orchestration.providers.wire import GatewayCall
from orchestration.storage.database import Database
from orchestration.storage.route_states import RouteStates
from orchestration.storage.spend import Spend


def configuration(ports: list[str], *, streaming: bool) -> Configuration:
    providers = {
        f"p{number}": {
            "type": "openai",
            "baseUrl": f"http://127.0.0.1:{port}/v1",
            "defaultModel": "instant",
            "streaming": streaming,
        }
        for number, port in enumerate(ports)
    }
    runtime = {"defaultProvider": "p0", "fallbackProviders": list(providers)[1:], **providers}
    return Configuration.model_validate({"runtime": runtime})


async def main() -> None:
    ports = sys.argv[1].split(",")
    settings = configuration(ports, streaming=sys.argv[2] != "plain")
    database = Database(f"sqlite:///{Path(tempfile.mkdtemp())}/bench.db")
    database.migrate()
    clock = SystemClock()
    budgets = Budgets(Spend(database), lambda: settings)
    gateway = Gateway(lambda: settings, {}, EventBus(clock), clock, budgets, RouteStates(database))

    async def call() -> None:
        assert (await gateway.complete(BODY, GatewayCall(run_id="bench"))).message["content"] == "Yes."

    async with gateway.running():
        await (measure(call) if len(ports) == 1 else measure_each(call))


asyncio.run(main())
