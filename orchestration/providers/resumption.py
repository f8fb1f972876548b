"""An answer that goes on where it broke off, from another route if need be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestration.providers.attempt import ChunkCallback
from orchestration.providers.continuation import AnswerJoint
from orchestration.providers.dialects.prompt_size import estimate_tokens
from orchestration.providers.failures import GatewayError, StreamInterruptedError
from orchestration.providers.gateway import Gateway
from orchestration.providers.stream_assembly import text_of
from orchestration.providers.wire import ChatBody, Completion, GatewayCall, RouteTry

# An answer that breaks off more often than that would not be finished by one more attempt.
_MOST_BREAKS = 3


async def complete_resumed(
    gateway: Gateway, body: ChatBody, call: GatewayCall, on_chunk: ChunkCallback
) -> tuple[Completion, bool]:
    """Return a whole answer as `Gateway.complete` does, and whether it was gone on with after it had broken off.

    What was shown is sent as the beginning of the answer to a route whose model can go on from it. Raises
    StreamInterruptedError where none can.
    """
    answer, tries = _ShownAnswer(on_chunk), list[RouteTry]()
    broken: StreamInterruptedError | None = None
    breaks = 0
    while True:
        try:
            rest = replace(call, shown=answer.text, native=None if answer.text else call.native)
            completion = await gateway.complete(body, rest, answer.take)
        except StreamInterruptedError as error:
            broken, breaks = error, breaks + 1
            tries += error.tries
            if breaks > _MOST_BREAKS:
                raise
            answer.break_off()
            # It does no harm to ask the same model again where there is no other.
            call = replace(call, avoided=call.avoided | {str(error.tries[-1].route)})
        except GatewayError as error:
            if broken is None:
                raise
            raise broken from error
        else:
            await answer.end()
            return (completion if broken is None else answer.joined(completion, tries)), broken is not None


class _ShownAnswer:
    """What a client was shown of an answer. Calls of tools are held back until the answer is complete, since half a
    call cannot be gone on with."""

    def __init__(self, on_chunk: ChunkCallback) -> None:
        self._on_chunk = on_chunk
        self._header: dict[str, Any] | None = None
        self._joint: AnswerJoint | None = None
        self._held: list[Mapping[str, Any]] = []
        self.text = ""

    async def take(self, chunk: Mapping[str, Any]) -> None:
        """Show a chunk, or hold it back."""
        if self._header is None:
            self._header = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        if self._joint is not None:
            chunk = self._continued(chunk, self._header, self._joint)
        delta = _delta_of(chunk)
        if self._held or _calls_tools(delta):
            self._held.append(chunk)
            return
        content = text_of(delta.get("content"))
        self.text += content if isinstance(content, str) else ""
        await self._show(chunk)

    def break_off(self) -> None:
        """The answer has broken off; what was held back of it is lost."""
        self._held.clear()
        self._joint = AnswerJoint(self.text)

    async def end(self) -> None:
        """Show what is left of a complete answer."""
        rest = "" if self._joint is None else self._joint.rest()
        if rest:
            self.text += rest
            await self._show({**(self._header or {}), "choices": [{"index": 0, "delta": {"content": rest}}]})
        for chunk in self._held:
            await self._show(chunk)

    def joined(self, completion: Completion, tries: list[RouteTry]) -> Completion:
        """The whole answer, made of the parts of several."""
        message = {**completion.message, "content": self.text or None}
        before = estimate_tokens({"role": "assistant", "content": self.text}) - estimate_tokens(completion.message)
        usage = completion.usage
        usage = replace(usage, completion_tokens=usage.completion_tokens + max(0, before), estimated=True)
        return replace(completion, message=message, usage=usage, reported_usage=None, tries=(*tries, *completion.tries))

    def _continued(self, chunk: Mapping[str, Any], header: Mapping[str, Any], joint: AnswerJoint) -> dict[str, Any]:
        """A chunk of the rest as one of the answer that the client reads."""
        choices = []
        for choice in chunk.get("choices") or ():
            delta = {name: value for name, value in (choice.get("delta") or {}).items() if name != "role"}
            content = text_of(delta.pop("content", None))
            text = joint.text(content) if isinstance(content, str) else ""
            ends = choice.get("finish_reason")
            if ends or _calls_tools(delta):
                text += joint.rest()
            if text:
                delta["content"] = text
            if delta or ends:
                choices.append({**choice, "delta": delta})
        return {**header, "choices": choices}

    async def _show(self, chunk: Mapping[str, Any]) -> None:
        # The tokens of the rest alone would be taken for those of the whole answer.
        if chunk.get("choices") or self._joint is None:
            await self._on_chunk(chunk)


def _delta_of(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = chunk.get("choices")
    delta: Mapping[str, Any] = (choices[0].get("delta") if choices else None) or {}
    return delta


def _calls_tools(delta: Mapping[str, Any]) -> bool:
    return bool(delta.get("tool_calls") or delta.get("function_call"))
