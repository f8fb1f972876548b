"""What becomes of each field of the Messages API where another provider than Anthropic answers."""

from __future__ import annotations

from orchestration.providers.translation import Translation, Treatment

_KEPT, _OPTIONAL, _IGNORED = Treatment.TRANSLATED, Treatment.OPTIONAL, Treatment.IGNORED
_NATIVE, _REFUSED = Treatment.ONLY_NATIVE, Treatment.REFUSED

REQUEST = (
    Translation("model", _KEPT, "`auto`, PROVIDER/MODEL, or a model's name"),
    Translation("messages", _KEPT, "by their blocks, below"),
    Translation("system", _KEPT, "the system message"),
    Translation("max_tokens", _OPTIONAL, "`max_tokens`, or `max_completion_tokens` where the model wants that"),
    Translation("stream", _KEPT),
    Translation("temperature", _KEPT),
    Translation("top_p", _KEPT),
    Translation("stop_sequences", _KEPT, "`stop`; `stop_sequence` of the answer is filled where the provider names it"),
    Translation("tools", _KEPT, "those with an `input_schema`; others below"),
    Translation("tool_choice", _KEPT, "`any` is `required`; `disable_parallel_tool_use` is `parallel_tool_calls`"),
    Translation("thinking", _OPTIONAL, "`reasoning_effort`, by the budget; without it no thoughts are shown"),
    Translation("output_config", _OPTIONAL, "`format` is `response_format`, `effort` is `reasoning_effort`"),
    Translation("cache_control", _IGNORED, "other vendors recognise the same beginning by themselves"),
    Translation("metadata", _IGNORED),
    Translation("service_tier", _IGNORED),
    Translation("top_k", _IGNORED),
    Translation("mcp_servers", _REFUSED, "their tools would run at Anthropic"),
)

BLOCKS = (
    Translation("text", _KEPT),
    Translation("image", _KEPT, "base64 or URL; one from the Files API only by Anthropic"),
    Translation("document", _KEPT, "PDF as base64, or text; by URL or from the Files API only by Anthropic"),
    Translation("search_result", _KEPT, "as text, under its title and source"),
    Translation("tool_use", _KEPT),
    Translation("tool_result", _KEPT, "images in it follow in a message of the user; `is_error` is said in words"),
    Translation("thinking", _IGNORED, "Anthropic gets its own, signed ones back"),
    Translation("redacted_thinking", _IGNORED, "Anthropic gets its own back"),
    Translation("citations", _REFUSED, "`enabled` in a document or search result"),
)

TOOLS = (
    Translation("custom", _KEPT, "also those without a `type`"),
    Translation("bash_*", _NATIVE),
    Translation("computer_*", _NATIVE),
    Translation("memory_*", _NATIVE),
    Translation("text_editor_*", _NATIVE),
    Translation("*", _REFUSED, "`web_search_*`, `code_execution_*` and others that run at Anthropic"),
)
