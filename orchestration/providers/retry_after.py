"""How long a provider asks to be left alone. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# No wait is that long, so a larger number is a time: seconds since 1970, or milliseconds.
_LEAST_EPOCH = 1e9
_LEAST_EPOCH_MILLISECONDS = 1e12


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that a provider asks for, in seconds; None if it does not.

    Azure's `retry-after-ms` is the most exact and wins; `retry-after` is in seconds or a date:
    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3. Some servers send the time of the reset in its place.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _until(milliseconds, now) if milliseconds >= _LEAST_EPOCH_MILLISECONDS else milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return _until(seconds, now) if seconds >= _LEAST_EPOCH else seconds
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _until(epoch: float, now: datetime) -> float:
    seconds = epoch / 1000 if epoch >= _LEAST_EPOCH_MILLISECONDS else epoch
    return max(0.0, seconds - now.timestamp())


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
