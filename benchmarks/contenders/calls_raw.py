"""The floor: the HTTP client alone, decoding the answer."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx2

from benchmarks.contenders.calls import BODY, measure


async def main() -> None:
    port, stream = sys.argv[1], sys.argv[2] == "stream"
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1") as client:

        async def plain() -> None:
            answer = await client.post("/chat/completions", json={"model": "instant", **BODY})
            assert answer.json()["choices"][0]["message"]["content"] == "Yes."

        async def streamed() -> None:
            body = {"model": "instant", **BODY, "stream": True, "stream_options": {"include_usage": True}}
            text = ""
            async with client.stream("POST", "/chat/completions", json=body) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: {"):
                        choices = json.loads(line[6:])["choices"]
                        text += (choices[0]["delta"].get("content") or "") if choices else ""
            assert text == "Yes."

        await measure(streamed if stream else plain)


asyncio.run(main())
