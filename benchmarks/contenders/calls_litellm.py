"""LiteLLM's Router: one deployment, or a dead one with a fallback, at its stock settings."""

from __future__ import annotations

import asyncio
import logging
import sys

import litellm
from litellm import Router

from benchmarks.contenders.calls import BODY, measure, measure_each

litellm.suppress_debug_info = True
logging.disable(logging.CRITICAL)


def deployment(name: str, port: str) -> dict[str, object]:
    parameters = {"model": "openai/instant", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none"}
    return {"model_name": name, "litellm_params": parameters}


async def main() -> None:
    ports = sys.argv[1].split(",")
    names = ["first", "second"][: len(ports)]
    router = Router(
        model_list=[deployment(name, port) for name, port in zip(names, ports, strict=True)],
        fallbacks=[{"first": ["second"]}] if len(ports) > 1 else [],
    )

    async def call() -> None:
        answer = await router.acompletion(model="first", **BODY)
        assert answer.choices[0].message.content == "Yes."

    await (measure(call) if len(ports) == 1 else measure_each(call))


asyncio.run(main())
