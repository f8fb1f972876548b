"""What becomes of each field of the Responses API, which is translated for every provider."""

from __future__ import annotations

from orchestration.providers.translation import Translation, Treatment

_KEPT, _OPTIONAL, _IGNORED = Treatment.TRANSLATED, Treatment.OPTIONAL, Treatment.IGNORED
_REFUSED = Treatment.REFUSED

REQUEST = (
    Translation("model", _KEPT, "`auto`, PROVIDER/MODEL, or a model's name; without it `auto`"),
    Translation("input", _KEPT, "a text, or items, below"),
    Translation("instructions", _KEPT, "the system message; those of earlier responses do not count, as at OpenAI"),
    Translation("previous_response_id", _KEPT, "kept in the database for `monitoring.retentionDays`"),
    Translation("store", _KEPT, "with `false`, nothing is kept"),
    Translation("stream", _KEPT),
    Translation("temperature", _KEPT),
    Translation("top_p", _KEPT),
    Translation("max_output_tokens", _OPTIONAL, "`max_tokens`, or `max_completion_tokens` where the model wants that"),
    Translation("tools", _KEPT, "functions; others are refused by name, since they would run at OpenAI"),
    Translation("tool_choice", _KEPT, "a word, or a function; lists of allowed tools are refused"),
    Translation("parallel_tool_calls", _OPTIONAL),
    Translation("text", _OPTIONAL, "`format` is `response_format`, `verbosity` is left out where the model refuses it"),
    Translation("reasoning", _OPTIONAL, "`effort` is `reasoning_effort`; with `summary`, thoughts are shown as one"),
    Translation("include", _KEPT, "`reasoning.encrypted_content`; others are refused"),
    Translation("metadata", _KEPT, "returned, and not sent to providers"),
    Translation("prompt_cache_key", _OPTIONAL),
    Translation("user", _IGNORED),
    Translation("safety_identifier", _IGNORED),
    Translation("service_tier", _IGNORED),
    Translation("stream_options", _IGNORED),
    Translation("prompt_cache_retention", _IGNORED),
    Translation("max_tool_calls", _IGNORED, "it counts tools that run at OpenAI"),
    Translation("truncation", _IGNORED, "what is too long goes to a model that reads more, or is refused"),
    Translation("background", _REFUSED),
    Translation("conversation", _REFUSED, "use `previous_response_id`"),
    Translation("context_management", _REFUSED),
    Translation("prompt", _REFUSED, "prompts are kept at OpenAI"),
    Translation("top_logprobs", _REFUSED),
)

ITEMS = (
    Translation("message", _KEPT, "texts, images, files with their data, sounds; what has only a `file_id` is refused"),
    Translation("function_call", _KEPT),
    Translation("function_call_output", _KEPT, "images in it follow in a message of the user"),
    Translation("reasoning", _KEPT, "Anthropic gets its own thoughts back, from `encrypted_content`; others none"),
    Translation("item_reference", _REFUSED, "use `previous_response_id`"),
    Translation("*", _REFUSED, "items of tools that run at OpenAI, and all others"),
)
