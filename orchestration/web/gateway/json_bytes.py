"""JSON as bytes, whatever a model has written or a client has sent. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from orchestration.providers.dialects.surrogates import sound_value


def json_bytes(value: Any) -> bytes:
    """A value as JSON. Half characters become the mark for a lost one, and numbers that JSON does not know null."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json_bytes(sound_value(value))
    except ValueError:
        return json_bytes(_finite(value))


class JsonResponse(Response):
    """A response with a JSON body."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
