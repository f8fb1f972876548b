"""How a provider lets a model go on with an answer that was begun."""

from __future__ import annotations

from enum import StrEnum


class AnswerContinuation(StrEnum):
    """How the beginning of the answer is sent: not at all, as the last message of the conversation (Ollama, llama.cpp,
    Anthropic's older models), that message marked with `prefix` (Mistral, DeepSeek), or the request marked with
    `continue_final_message` (vLLM, SGLang)."""

    NONE = "none"
    LAST_MESSAGE = "last-message"
    PREFIX = "prefix"
    FINAL_MESSAGE = "continue-final-message"
