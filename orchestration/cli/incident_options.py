"""Options that several commands about incidents share, and the commands that their values mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import click

from orchestration.cli.timespec import MOMENT, due_date
from orchestration.clock import SystemClock
from orchestration.errors import UsageError
from orchestration.incidents.commands.action_items import AddActionItem, CompleteActionItem
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.model import ReviewField

Function = Callable[..., Any]

incident_argument = click.argument("incident", metavar="INCIDENT")
step_argument = click.argument("step", metavar="STEP")


def undone_line(incident: str, action: str, summary: str) -> str:
    """What undoing an action has done."""
    return f"{incident}: {action} was undone: {summary}"


def _review_parts(_: click.Context, __: click.Parameter, parts: Sequence[str]) -> list[WriteReview]:
    return [_review_part(part) for part in parts]


def _review_part(part: str) -> WriteReview:
    name, equals, text = part.partition("=")
    names = [field.value for field in ReviewField]
    if not equals or name not in names or not text.strip():
        raise UsageError(f"expected FIELD=TEXT with one of {', '.join(names)}, got '{part}'; a text may be \"none\"")
    return WriteReview(ReviewField(name), text.strip())


review_parts_option = click.option(
    "--set",
    "parts",
    multiple=True,
    metavar="FIELD=TEXT",
    callback=_review_parts,
    help="Write a part of the review. Repeatable.",
)

review_take_option = click.option(
    "--take",
    "taken",
    multiple=True,
    type=click.Choice([field.value for field in ReviewField]),
    help="Take over what the records say for a part of the review. Repeatable.",
)

_ACTION_ITEM_OPTIONS = (
    click.option("--add", "text", help="Add an action item; needs --owner and --due."),
    click.option("--owner", help="Who does it."),
    click.option("--due", type=MOMENT, help="By when: 14d, or a date."),
    click.option("--done", type=click.IntRange(min=1), help="The number of the item that is done."),
)


def action_item_options(function: Function) -> Function:
    """The options by which action items are added and marked as done."""
    # Reversed, because click shows the options of decorators in the order in which they are written, and they apply
    # from the last to the first.
    return reduce(lambda decorated, option: option(decorated), reversed(_ACTION_ITEM_OPTIONS), function)


def action_item_commands(
    incident: str | None, *, text: str | None, owner: str | None, due: str | None, done: int | None
) -> list[IncidentCommand]:
    """The commands that these options mean. Raises UsageError where something is missing."""
    # Checked before anything is executed, so that a wrong pair of options changes nothing.
    if incident is None and (text is not None or done is not None):
        raise UsageError("name the incident whose action item you add or mark as done")
    if text is not None and (owner is None or due is None):
        raise UsageError("--add needs --owner and --due: every action item has both")
    commands: list[IncidentCommand] = []
    if text is not None and owner is not None and due is not None:
        commands.append(AddActionItem(text, owner, due_date(due, SystemClock().now())))
    if done is not None:
        commands.append(CompleteActionItem(done))
    return commands
