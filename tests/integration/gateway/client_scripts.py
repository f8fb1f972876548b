"""What an application does with a client of its own. Arguments: which client, the server's address, a key.

Each line on standard input is something to do; what comes of it is said in one line, and `begun` at a stream's first
piece.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import openai

QUESTION = "Say something long."
URL, KEY = f"{sys.argv[2]}/v1", sys.argv[3]

Ask = Callable[[], Awaitable[str]]
Stream = Callable[[], AsyncIterator[str]]


def say(text: str) -> None:
    print(" ".join(text.split()), flush=True)


def by_openai() -> tuple[Ask, Stream]:
    client = openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=30)
    messages = [{"role": "user", "content": QUESTION}]

    async def ask() -> str:
        answer = await client.chat.completions.create(model="auto", messages=messages)
        return f"{answer.model} {answer.choices[0].message.content}"

    async def stream() -> AsyncIterator[str]:
        async for chunk in await client.chat.completions.create(model="auto", messages=messages, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return ask, stream


def by_pydantic_ai() -> tuple[Ask, Stream]:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel("auto", provider=OpenAIProvider(base_url=URL, api_key=KEY)))

    async def ask() -> str:
        result = await agent.run(QUESTION)
        return f"{result.response.model_name} {result.output}"

    async def stream() -> AsyncIterator[str]:
        async with agent.run_stream(QUESTION) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                yield piece

    return ask, stream


def by_responses() -> tuple[Ask, Stream]:
    client = openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=30)

    async def ask() -> str:
        answer = await client.responses.create(model="auto", input=QUESTION)
        return f"{answer.model} {answer.output_text}"

    async def stream() -> AsyncIterator[str]:
        async for event in await client.responses.create(model="auto", input=QUESTION, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta
            elif event.type == "response.failed":
                raise ResponseFailedError(event.response.error.code)

    return ask, stream


class ResponseFailedError(Exception):
    """OpenAI's client hands the event of a failed response on, and raises nothing."""


def by_anthropic() -> tuple[Ask, Stream]:
    import anthropic

    client = anthropic.AsyncAnthropic(base_url=sys.argv[2], api_key=KEY, max_retries=0, timeout=30)
    asked = {"model": "auto", "max_tokens": 99, "messages": [{"role": "user", "content": QUESTION}]}

    async def ask() -> str:
        message = await client.messages.create(**asked)
        return f"{message.model} {message.content[0].text}"

    async def stream() -> AsyncIterator[str]:
        async with client.messages.stream(**asked) as events:
            async for text in events.text_stream:
                yield text

    return ask, stream


async def streamed(stream: Stream) -> str:
    text = ""
    async for piece in stream():
        if not text:
            say("begun")
        text += piece
    return f"whole {text}"


def told(error: BaseException | None) -> str:
    """The error that the client raised, and the code in it or in what caused it."""
    while error is not None:
        if isinstance(error, openai.APIError):
            return f"broken {error.code}"
        if isinstance(error, ResponseFailedError):
            return f"broken {error}"
        if type(error).__module__.startswith("anthropic"):
            return f"broken {error.body['error']['type']}"
        error = error.__cause__ or error.__context__
    return "broken without a code"


async def main() -> None:
    clients = {
        "openai": by_openai,
        "pydantic-ai": by_pydantic_ai,
        "responses": by_responses,
        "anthropic": by_anthropic,
    }
    ask, stream = clients[sys.argv[1]]()
    for line in iter(sys.stdin.readline, ""):
        try:
            say(await (ask() if line.strip() == "ask" else streamed(stream)))
        except Exception as error:  # noqa: BLE001 (whatever the client raises is what is tested)
            say(told(error))


asyncio.run(main())
