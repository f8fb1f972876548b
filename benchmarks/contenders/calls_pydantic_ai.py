"""pydantic-ai: `Agent.run` on one model, or `FallbackModel` over a dead and a living one."""

from __future__ import annotations

import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.contenders.calls import measure, measure_each


def model(port: str) -> OpenAIChatModel:
    return OpenAIChatModel("instant", provider=OpenAIProvider(base_url=f"http://127.0.0.1:{port}/v1", api_key="none"))


async def main() -> None:
    ports = sys.argv[1].split(",")
    models = [model(port) for port in ports]
    agent = Agent(models[0] if len(models) == 1 else FallbackModel(*models), instructions="Be brief.")

    async def call() -> None:
        assert (await agent.run("Is it up?")).output == "Yes."

    await (measure(call) if len(models) == 1 else measure_each(call))


asyncio.run(main())
