"""What becomes of each field of Ollama's API."""

from __future__ import annotations

from orchestration.providers.translation import Translation, Treatment

_KEPT, _OPTIONAL, _IGNORED = Treatment.TRANSLATED, Treatment.OPTIONAL, Treatment.IGNORED
_REFUSED = Treatment.REFUSED

REQUEST = (
    Translation("model", _KEPT, "`auto`, PROVIDER/MODEL, or a model's name"),
    Translation("messages", _KEPT, "with `images`, `tool_calls` and results by `tool_name`; `thinking` is left out"),
    Translation("tools", _KEPT),
    Translation("format", _KEPT, "`json` or a schema"),
    Translation("stream", _KEPT, "true unless it is given"),
    Translation("think", _OPTIONAL, "`reasoning_effort`"),
    Translation("options", _OPTIONAL, "below"),
    Translation("keep_alive", _IGNORED),
    Translation("logprobs", _REFUSED),
    Translation("top_logprobs", _REFUSED),
)
GENERATE = (
    Translation("prompt", _KEPT),
    Translation("system", _KEPT),
    Translation("images", _KEPT),
    Translation("suffix", _REFUSED),
    Translation("template", _REFUSED),
    Translation("context", _REFUSED),
    Translation("raw", _REFUSED),
)
OPTIONS = (
    Translation("temperature", _KEPT),
    Translation("top_p", _KEPT),
    Translation("seed", _KEPT),
    Translation("stop", _KEPT),
    Translation("frequency_penalty", _KEPT),
    Translation("presence_penalty", _KEPT),
    Translation("num_predict", _OPTIONAL, "`max_tokens`; negative numbers mean no limit"),
    Translation("*", _IGNORED, "such as `num_ctx`, which the configuration of a model says (`contextTokens`)"),
)
