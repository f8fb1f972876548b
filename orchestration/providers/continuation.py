"""Asking a model to go on with an answer that broke off, and joining both parts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.domain.answer_continuation import AnswerContinuation
from orchestration.providers.dialects.prompt_size import estimate_tokens

# A shorter beginning may be the beginning of the next sentence as well.
_LEAST_ECHO = 20
_LONGEST = ("max_tokens", "max_completion_tokens")


def continued(body: Mapping[str, Any], shown: str, how: AnswerContinuation) -> dict[str, Any]:
    """The request for the rest of an answer of which so much was shown. That counts for the length that the client
    permits."""
    # Anthropic refuses a beginning that ends in white space.
    begun: dict[str, Any] = {"role": "assistant", "content": shown.rstrip()}
    marks: dict[str, Any] = {}
    if how is AnswerContinuation.PREFIX:
        begun["prefix"] = True
    elif how is AnswerContinuation.FINAL_MESSAGE:
        # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: only together.
        marks = {"continue_final_message": True, "add_generation_prompt": False}
    left = {name: max(1, most - estimate_tokens(shown)) for name in _LONGEST if (most := body.get(name))}
    return {**body, **left, **marks, "messages": [*body["messages"], begun]}


class AnswerJoint:
    """Where the rest of an answer meets what was shown of it.

    Some servers repeat the beginning that they were sent, and most begin with the white space that was shown last but
    not sent. Both are left out.
    """

    def __init__(self, shown: str) -> None:
        self._sent = shown.rstrip()
        self._gap = shown[len(self._sent) :]
        self._held: str | None = ""

    def text(self, part: str) -> str:
        """What is new in the next part; nothing as long as that is uncertain."""
        if self._held is None:
            return part
        self._held += part
        rest = self._held
        if len(self._sent) >= _LEAST_ECHO:
            if self._sent.startswith(rest):
                return ""
            rest = rest.removeprefix(self._sent)
        return "" if self._gap.startswith(rest) else self._decided(rest)

    def rest(self) -> str:
        """What is left when there is no next part."""
        held = self._held
        if held is None:
            return ""
        echo = len(self._sent) >= _LEAST_ECHO and held.startswith(self._sent)
        return self._decided(held.removeprefix(self._sent) if echo else held)

    def _decided(self, rest: str) -> str:
        self._held = None
        same = next(size for size in range(len(self._gap), -1, -1) if rest.startswith(self._gap[:size]))
        return rest[same:]
