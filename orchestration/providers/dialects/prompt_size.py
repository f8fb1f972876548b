"""How large the messages of a request are, with images, sounds and files counted as what they are. Pure.

They come as base64 inside the JSON. Counted as text, a picture of 200 kB would be 50,000 tokens; a model reads it as
about a thousand, whatever its size in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# OpenAI counts 85 tokens for `detail: low`, else 170 for each tile of 512 pixels and 85 more; a large picture has four
# to six tiles: https://platform.openai.com/docs/guides/images-vision#calculating-costs.
_LOW_DETAIL_TOKENS = 85
_IMAGE_TOKENS = 1105
# Ten tokens a second, and MP3 of 128 kbit/s has 21,000 characters of base64 in one.
_SOUND_CHARACTERS_PER_TOKEN = 2100
# A page of a PDF is read as a picture and its text, and has some 50 kB.
_FILE_CHARACTERS_PER_TOKEN = 30
_LEAST_MEDIA_TOKENS = 85
# The average for English text.
CHARACTERS_PER_TOKEN = 4


def estimate_tokens(value: object) -> int:
    """A rough estimate of the tokens of messages, or of any JSON value: four characters each, and media by kind."""
    characters, media = measured(value)
    return 1 + characters // CHARACTERS_PER_TOKEN + media


def asked_in(body: Mapping[str, Any]) -> object:
    """What a request asks a model to read: messages, or texts to be embedded."""
    return body.get("messages") or body.get("input")


def measured(value: object) -> tuple[int, int]:
    """The characters of a value without its media, and the tokens of those."""
    messages = value if isinstance(value, list) else [value]
    characters = media = 0
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(message, Mapping) or not isinstance(content, list):
            characters += len(str(message))
            continue
        characters += len(str({**message, "content": None}))
        for part in content:
            tokens = media_tokens(part)
            media += tokens
            characters += 0 if tokens else len(str(part))
    return characters, media


def media_tokens(part: object) -> int:
    """The tokens of a part of a message that is an image, a sound or a file; 0 if it is none, or is only named."""
    if not isinstance(part, Mapping):
        return 0
    match part.get("type"):
        case "image_url" | "input_image" | "image":
            image = part.get("image_url")
            detail = image.get("detail") if isinstance(image, Mapping) else part.get("detail")
            return _LOW_DETAIL_TOKENS if detail == "low" else _IMAGE_TOKENS
        case "input_audio":
            return _by_size(part.get("input_audio"), _SOUND_CHARACTERS_PER_TOKEN)
        case "file" | "input_file":
            return _by_size(part.get("file", part), _FILE_CHARACTERS_PER_TOKEN)
        case _:
            return 0


def text_size(content: list[Any], bytes_per_token: float) -> int:
    """The bytes of a content in parts, media as so many bytes as their tokens would have as text."""
    sizes = (media_tokens(part) * bytes_per_token or _json_size(part) for part in content)
    return int(sum(sizes))


def _by_size(media: object, characters_per_token: int) -> int:
    data = (media.get("data") or media.get("file_data")) if isinstance(media, Mapping) else None
    return max(_LEAST_MEDIA_TOKENS, len(data) // characters_per_token) if isinstance(data, str) else 0


def _json_size(value: Any) -> int:
    return len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass"))
