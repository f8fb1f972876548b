"""The pages of docs/reference, and the playbooks' JSON Schema, that are written from the code:
`python -m tests.support.reference_pages` writes them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from orchestration.alerts.reference import rules_page, sources_table
from orchestration.alerts.sources.registry import shipped_sources
from orchestration.cli import cli
from orchestration.config.channels.kinds import SHIPPED_CHANNELS
from orchestration.config.providers.kinds import SHIPPED_PROVIDERS
from orchestration.config.reference import json_schema
from orchestration.config.vendors.kinds import SHIPPED_VENDORS
from orchestration.config.vendors.reference import vendors_table
from orchestration.events.reference import events_page
from orchestration.notifications.reference import channels_table
from orchestration.playbooks.actions import Action
from orchestration.playbooks.actions.registry import REGISTRY
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.catalogue import json_schema as playbook_schema
from orchestration.playbooks.reference import actions_page, playbook_page
from orchestration.providers import anthropic_request, responses_request
from orchestration.providers.reference import providers_table
from orchestration.providers.translation import translation_table
from orchestration.web.gateway.messages import fields as messages_fields
from orchestration.web.gateway.ollama import fields as ollama_fields
from orchestration.web.gateway.responses import fields as responses_fields
from tests.support.attacks_page import attacks_page
from tests.support.project import ROOT

REFERENCE = ROOT / "docs" / "reference"
_INTAKE = ROOT / "docs" / "how-to" / "receive-alerts.md"
_ROTATION = ROOT / "docs" / "how-to" / "rotate-a-credential.md"
_WIDTH = 100

_COMMANDS = """# Console commands

`orchestrator` and, the same, `python -m orchestration`. Exit codes: 0 done, 1 failed or not finished, 2 wrong usage or
configuration, 130 interrupted. `--json` prints one JSON document on standard output. RUN is an identifier, an end of
one that fits no other, or `latest`.
"""

_CONFIGURATION = """# Configuration keys

`config/agents.config.json`, JSON of at most 1 MiB. An edit is in force within two seconds, without a restart; one that
cannot be used is refused with file and line, and the last good one stays in force. Times are in seconds. Keys that are
not known are kept and warned of. Editors complete and check the file by `config/agents.config.schema.json`.
[What the checks say](configuration-findings.md).
"""

_API = """# API

`orchestrator serve` offers the API at `/api/v1`; `/api/v1/openapi.json` describes it in OpenAPI 3.1 (with a token).
The paths below are relative to `/api/v1`. [Who may use them](../how-to/sign-in.md). Python programs can use
`orchestration.client.Client`; the console command has `--server URL`.

- **Authentication**: `Authorization: Bearer TOKEN`, or a session cookie. A script that uses a session sends the token
  from `GET /me` as `X-CSRF-Token` with every request except `GET`.
- **Role and scope**: the roles are viewer, responder, operator and admin; each includes the ones before it. A token
  with scopes is valid for those areas only.
- **Identifiers**: `{run}`, `{incident}`, `{alert}` and so on are identifiers, or a unique end of one; `latest`
  is the newest run or incident.
- **Pagination**: lists of runs, incidents, alerts and the audit trail return `items` and `next`. Repeat the request
  with `cursor=next` until `next` is null. `limit` is at most 500.
- **Times** are RFC 3339 with a time zone; durations are in seconds.
- **Errors** are problem details (RFC 9457): `title`, `status`, and `detail`, which says what is wrong and what to do.
  401 not signed in; 403 not allowed; 404 not found; 409 not possible in this state (`reason` says why, for
  incidents); 413 too large; 422 invalid (`errors` says where); 429 too many requests; 503 the database is not
  available, or the system is isolated and a model was called.
- **Idempotency**: a write with an `Idempotency-Key` is carried out once within a day; when repeated, it gets the same
  response again, with `Idempotency-Replayed: true`.
- **Live events**: `GET /events` is a stream of server-sent events; with `Last-Event-ID` a client continues where it
  was. `run=ID` and `kind=run.` (a kind, or a prefix of kinds) filter it. [The kinds](events.md).
"""


_TRANSLATION = """# What the gateway translates

The gateway serves chat completions, Anthropic's Messages API, OpenAI's Responses API and Ollama's API
([how to use them](../how-to/use-the-gateway.md)), and any provider may answer any of them. Between them is the format
of chat completions, so failover, budgets, limits and hedging are the same for all.

- Chat requests are sent as they came to a provider that understands them. Anthropic's client reaches a provider of the
  type `anthropic` with its request as it came, with all fields. The tables are about everything else.
- What is *left out where the model refuses it* is sent, and after a refusal left out for a day.
- What cannot be translated is refused with status 400 in the shape of the client's API, and the message names it. If
  only some providers cannot be asked for it, the others are.
- Answers carry texts, calls of tools, the reason of the end and the tokens. Thoughts are shown where they were asked
  for (`thinking`, or `reasoning.summary`). Thoughts that Anthropic has signed come back to it, from the client or from
  what is kept.
"""


def commands_page() -> str:
    """Every command with its help."""
    parts = [_COMMANDS]
    for path, command in commands():
        # The root hands its names of help down; without them here, whoever asks a command first settles what it has.
        names = cli.context_settings["help_option_names"]
        context = click.Context(
            command, info_name=path, terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=names
        )
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def commands(path: str = "orchestrator", command: click.Command = cli) -> Iterator[tuple[str, click.Command]]:
    """Each command with its path, groups first."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from commands(f"{path} {name}", below)


def configuration_page() -> str:
    """Every key of the configuration, from its JSON Schema."""
    schema = json.loads(json_schema())
    definitions = schema["$defs"]
    parts = [_CONFIGURATION, _section("The file", schema, definitions)]
    parts += [_section(name, part, definitions) for name, part in definitions.items() if part.get("properties")]
    return "\n".join(parts)


def _section(title: str, part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    required = part.get("required", [])
    rows = [
        f"| `{key}` | {_kind(value, definitions)} | {'must be given' if key in required else _default(value)} |"
        for key, value in part["properties"].items()
    ]
    about = inspect.cleandoc(part.get("description", "")).replace("\n", " ")
    return "\n".join([f"## {title}", "", about, "", "| key | value | unless given |", "| --- | --- | --- |", *rows, ""])


def _kind(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        target = definitions[name]
        return f"[{name}](#{name.lower()})" if target.get("properties") else _kind(target, definitions)
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if "anyOf" in value:
        return " or ".join(_kind(one, definitions) for one in value["anyOf"])
    if value.get("type") == "array":
        return f"list of {_kind(value['items'], definitions)}" if "items" in value else "list"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"object of {_kind(inner, definitions)}" if isinstance(inner, dict) and inner else "object"
    return f"{value.get('type', 'anything')}{_bounds(value)}"


def _bounds(value: Mapping[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {value[word]}" for word, sign in words.items() if word in value]
    return f" {', '.join(bounds)}" if bounds else ""


def _default(value: Mapping[str, Any]) -> str:
    if value.get("default") is None or "$ref" in value or value["default"] in ([], {}, ""):
        return ""
    return f"`{json.dumps(value['default'])}`"


def _playbooks() -> dict[Path, Callable[[], str]]:
    """A page for each playbook that is shipped, with the name of the playbook."""
    shipped = [entry for entry in PlaybookCatalogue(ROOT / "none").all() if not entry.own]
    return {REFERENCE / "playbooks" / f"{entry.playbook.name}.md": partial(playbook_page, entry) for entry in shipped}


def api_page() -> str:
    """Every route of the API with who may use it."""
    from orchestration.web import api

    parts = [_API.rstrip()]
    for title, module in api.ROUTERS.items():
        rows = ["| route | role | scope | |", "| --- | --- | --- | --- |"]
        for route in module.router.routes:
            assert isinstance(route, api.APIRoute)
            need = api.required_role(route)
            method = ", ".join(sorted(route.methods))
            about = " ".join(route.description.split())
            rows.append(f"| `{method} {route.path}` | {need.role.value} | {need.area or 'any'} | {about} |")
        parts.append(f"## {title.capitalize()}\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def shipped_actions() -> list[type[Action[Any]]]:
    """The actions that belong to the product, whatever else tests have registered; by name."""
    kinds = sorted(REGISTRY.values(), key=lambda kind: kind.name)
    return [kind for kind in kinds if kind.__module__.startswith("orchestration.")]


def _with_table(path: Path, name: str, table: str) -> str:
    """A page that people write, with the table between its two marks written anew."""
    page = path.read_text(encoding="utf-8")
    before, start, rest = page.partition(f"<!-- {name}: written from the code -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    assert end, f"{path} has no place for the table of {name}"
    return f"{before}{start}\n{table}\n\n{end}{after}"


def notifications_page() -> str:
    """How people are notified, with every kind of channel."""
    return _with_table(REFERENCE / "notifications.md", "channels", channels_table(SHIPPED_CHANNELS.values()))


def intake_page() -> str:
    """How to receive alerts, with every source of alerts."""
    return _with_table(_INTAKE, "alert sources", sources_table(shipped_sources()))


def providers_page() -> str:
    """How providers are called and set up, with every type of provider."""
    return _with_table(REFERENCE / "providers.md", "types", providers_table(SHIPPED_PROVIDERS.values()))


def rotation_page() -> str:
    """How to rotate a credential, with every vendor's page."""
    return _with_table(_ROTATION, "vendors", vendors_table(SHIPPED_VENDORS.values()))


def translation_page() -> str:
    """What the gateway translates between the APIs of its clients and of its providers, field by field."""
    sections = {
        "Fields of the Messages API": messages_fields.REQUEST,
        "Blocks of its messages": messages_fields.BLOCKS,
        "Its tools": messages_fields.TOOLS,
        "Fields of the Responses API": responses_fields.REQUEST,
        "Items of its input": responses_fields.ITEMS,
        "Fields of Ollama's `/api/chat`": ollama_fields.REQUEST,
        "Other fields of its `/api/generate`": ollama_fields.GENERATE,
        "Its options": ollama_fields.OPTIONS,
        "Fields of chat completions, for Anthropic": anthropic_request.CHAT_FIELDS,
        "Fields of chat completions, for the Responses API": responses_request.CHAT_FIELDS,
    }
    tables = [f"## {title}\n\n{translation_table('name', rows)}\n" for title, rows in sections.items()]
    return "\n".join([_TRANSLATION, *tables])


PAGES: dict[Path, Callable[[], str]] = {
    REFERENCE / "api.md": api_page,
    REFERENCE / "attacks.md": attacks_page,
    REFERENCE / "commands.md": commands_page,
    REFERENCE / "configuration.md": configuration_page,
    REFERENCE / "events.md": events_page,
    REFERENCE / "actions.md": lambda: actions_page(shipped_actions()),
    REFERENCE / "notifications.md": notifications_page,
    REFERENCE / "alert-rules.md": rules_page,
    _INTAKE: intake_page,
    REFERENCE / "providers.md": providers_page,
    _ROTATION: rotation_page,
    REFERENCE / "gateway-translation.md": translation_page,
    **_playbooks(),
    ROOT / "config" / "playbook.schema.json": playbook_schema,
}

if __name__ == "__main__":
    for page, make in PAGES.items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(make(), encoding="utf-8")
