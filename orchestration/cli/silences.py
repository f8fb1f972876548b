"""`orchestrator silences`: mute alerts for a time, from now on or in a future maintenance window."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from orchestration.alerts.maintenance_windows import upcoming
from orchestration.alerts.silences import validate_matchers
from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, first_line, table
from orchestration.errors import UsageError
from orchestration.events.alerts import SilenceAdded, SilenceExpired
from orchestration.ids import new_id
from orchestration.storage.silences import SilenceKind, SilenceRow

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
# A silence is for a limited time. What should never alert belongs in the rules of the configuration.
_LONGEST = timedelta(days=366)


@click.group()
def silences() -> None:
    """Silences: alerts that match every matcher are stored and not reported until the silence ends."""


@silences.command()
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER...")
@click.option("--duration", default="2h", show_default=True, help="How long, such as 45m, 2h or 1d.")
@click.option("--start", help="When it begins, such as 2026-03-01T22:00Z, for a maintenance window.  [default: now]")
@click.option("--comment", required=True, help="The reason. Others will read it.")
@click.option("--author", help="Who adds it.  [default: the current user]")
@common.json_option
@click.pass_obj
def add(
    config: str,
    matchers: tuple[str, ...],
    duration: str,
    start: str | None,
    comment: str,
    author: str | None,
    as_json: bool,
) -> None:
    """Mute alerts that match every MATCHER: agent="planner", host=~"web.*", alertname!="cpu-high", source!~"a|b"."""
    with project(config) as opened:
        now = opened.clock.now()
        begins = now if start is None else read_time(start)
        silence = SilenceRow(
            id=new_id("silence", now.timestamp()),
            kind=SilenceKind.SILENCE if start is None else SilenceKind.MAINTENANCE,
            matchers=[str(matcher) for matcher in validate_matchers(matchers, opened.redactor.text)],
            starts_at=begins,
            ends_at=begins + read_duration(duration),
            author=author or common.user_name(),
            # A comment may quote a log line, and the list of silences is shown to every user.
            comment=opened.redactor.text(comment),
            created_at=now,
        )
        if silence.ends_at <= now:
            raise UsageError(
                f"the silence would end at {silence.ends_at:%Y-%m-%d %H:%M} UTC, which has passed; give a later start"
            )
        opened.silences.add(silence)
        opened.bus.publish(SilenceAdded(silence=silence.id, matchers=tuple(silence.matchers)), actor=silence.author)
        if as_json:
            common.print_json(silence)
        else:
            echo(f"{silence.id}: mutes until {silence.ends_at:%Y-%m-%d %H:%M} UTC")


@silences.command("list")
@click.option("--all", "include_ended", is_flag=True, help="Include silences that have ended.")
@common.json_option
@click.pass_obj
def list_silences(config: str, include_ended: bool, as_json: bool) -> None:
    """List active and future silences."""
    with project(config) as opened:
        now = opened.clock.now()
        found = opened.silences.list(now, ended=include_ended)
        if as_json:
            common.print_json(found)
        elif not found:
            echo("there are no active silences")
        else:
            rows = [
                (
                    one.id,
                    one.kind.value,
                    state_of(one, now),
                    f"{one.ends_at:%Y-%m-%d %H:%M} UTC",
                    ", ".join(one.matchers),
                    f"{one.author}: {first_line(one.comment, 60)}",
                )
                for one in found
            ]
            console().print(table(("SILENCE", "KIND", "STATE", "UNTIL", "MATCHERS", "WHY"), rows))


@silences.command()
@click.argument("silence", metavar="SILENCE")
@common.json_option
@click.pass_obj
def expire(config: str, silence: str, as_json: bool) -> None:
    """End a silence now; alerts that it muted and that still fire are reported."""
    with project(config) as opened:
        found = opened.silences.find(silence)
        opened.silences.expire(found.id, opened.clock.now())
        # On the timeline, because alerts that were muted are reported from now on, and somebody will ask why.
        opened.bus.publish(SilenceExpired(silence=found.id), actor=common.user_name())
        if as_json:
            common.print_json(opened.silences.find(found.id))
        else:
            echo(f"{found.id}: ended")


@silences.command()
@click.option(
    "--count", default=3, show_default=True, type=click.IntRange(1, 100), help="How many times of each window."
)
@common.json_option
@click.pass_obj
def windows(config: str, count: int, as_json: bool) -> None:
    """Show when the recurring maintenance windows of the configuration are."""
    with project(config) as opened:
        now = opened.clock.now()
        described = opened.configuration.alerting.maintenance_windows
        found = [(window, one) for window in described for one in upcoming(window, now, count)]
        if as_json:
            common.print_json([{**asdict(one), "matchers": window.matchers} for window, one in found])
        elif not found:
            echo("there are no recurring maintenance windows; describe them in alerting.maintenanceWindows")
        else:
            rows = [
                (
                    one.name,
                    "in force" if one.starts_at <= now else "to come",
                    f"{one.starts_at:%Y-%m-%d %H:%M} UTC",
                    f"{one.ends_at:%Y-%m-%d %H:%M} UTC",
                    ", ".join(window.matchers),
                )
                for window, one in found
            ]
            console().print(table(("WINDOW", "STATE", "FROM", "UNTIL", "MATCHERS"), rows))


def state_of(silence: SilenceRow, now: datetime) -> str:
    """Whether a silence is in force, still to come, or has ended."""
    if silence.ends_at <= now:
        return "ended"
    return "in force" if silence.starts_at <= now else "to come"


def read_duration(text: str) -> timedelta:
    """A duration such as `90s`, `45m`, `2h`, `1d`, or `1h30m`. Raises UsageError."""
    parts = re.findall(r"(\d{1,9})\s*([a-z]+)", text.strip().lower())
    whole = re.fullmatch(r"(?:\s*\d{1,9}\s*(?:min|[smhd])\s*)+", text.strip().lower())
    seconds = sum(int(count) * _UNITS[unit] for count, unit in parts) if whole else 0
    # Compared as a number: a `timedelta` overflows with what may be typed here.
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise UsageError(f"expected a duration of at most 366 days, such as 45m, 2h or 1d, got '{text[:40]}'")
    return timedelta(seconds=seconds)


def read_time(text: str) -> datetime:
    """A time such as `2026-03-01T22:00Z`; without a zone it is UTC. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"expected a time such as 2026-03-01T22:00Z, got '{text[:40]}'") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
