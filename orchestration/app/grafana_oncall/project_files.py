"""Puts an import into the project: the configuration, calendars beside it; and says what is left to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.app.grafana_oncall.conversion import CHAT, MAIL, OnCallImport
from orchestration.config.loader import ConfigLoader
from orchestration.config.textfile import UnreadableError, read_text, replace_text
from orchestration.errors import UsageError

_INTAKE_TOKEN = "INTAKE_TOKEN"  # noqa: S105 — the name of a variable
# What has to be named for the contacts' addresses to be usable; the user's own channels of these names stay.
_CHANNELS = {
    MAIL: {"type": "email", "host": "localhost", "port": 25, "tls": "none", "sender": "pager@localhost"},
    CHAT: {"type": "slack-bot", "tokenEnv": "SLACK_BOT_TOKEN"},
}


def read_text_file(path: str) -> str:
    """The text of an export. Raises UsageError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from error


def write_import(config_file: Path, imported: OnCallImport) -> None:
    """Put what was imported into the configuration. Nothing is written unless the result can be used. Raises
    UsageError."""
    loader = ConfigLoader(config_file)
    try:
        document: dict[str, Any] = json.loads(read_text(loader.path))
    except (UnreadableError, ValueError) as error:
        raise UsageError(f"The configuration {config_file} cannot be changed: {error}.") from error
    response = document.setdefault("response", {})
    channels = {name: settings for name, settings in _CHANNELS.items() if _is_used(imported, name)}
    document["response"] = {**response, "channels": {**channels, **response.get("channels", {})}, **imported.response}
    paths = {**response.get("escalationPaths", {}), **imported.response.get("escalationPaths", {})}
    if paths:
        document["response"]["escalationPaths"] = paths
    if imported.intakes:
        document.setdefault("alerting", {}).setdefault("intake", {}).setdefault("tokenEnv", _INTAKE_TOKEN)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    loaded = loader.parse(text, (*imported.variables, _INTAKE_TOKEN))
    if loaded.configuration is None or loaded.errors:
        reasons = "; ".join(f"{one.path}: {one.message}" for one in loaded.errors[:3])
        raise UsageError(f"The configuration could not be used with what was imported, and is as it was: {reasons}.")
    for name, body in imported.files.items():
        path = loader.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, body.decode())
    replace_text(loader.path, text)


def import_lines(imported: OnCallImport, *, written: bool) -> Iterator[str]:
    """What was done, and what is left to do."""
    contacts, rotations = len(imported.response["contacts"]), len(imported.response["rotations"])
    yield f"{'imported' if written else 'found'}: {contacts} contacts, {rotations} rotations"
    for name in imported.files:
        yield f"calendar: {name}" if written else f"calendar: {name}, written with --write"
    for variable in imported.variables:
        yield f"to do: put {variable}=… into .env, the address of the calendar"
    for name in (MAIL, CHAT):
        if _is_used(imported, name):
            yield f"to do: complete response.channels.{name}"
    for name, source in imported.intakes:
        yield f"to do: let {name} send its alerts to /api/v1/intake/{source}, with the token of {_INTAKE_TOKEN}"
    for note in imported.notes:
        yield f"not taken over: {note}"


def _is_used(imported: OnCallImport, channel: str) -> bool:
    contacts: list[dict[str, Any]] = imported.response["contacts"]
    return any(place["channel"] == channel for contact in contacts for place in contact["channels"])
