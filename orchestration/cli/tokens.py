"""`orchestrator tokens`: credentials of programs for the API and the gateway endpoint; and `orchestrator audit`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ahead
from orchestration.cli.users import access_control, trail_of
from orchestration.security.access import AREAS, CLIENT_LIMITS, GATEWAY
from orchestration.security.audit_export import compare, export
from orchestration.security.principal import Role
from orchestration.storage.access import TokenRow


@click.group()
def tokens() -> None:
    """Manage tokens. TOKEN is an identifier, or a unique end of one."""


@tokens.command("list")
@common.json_option
@click.pass_obj
def list_tokens(config: str, as_json: bool) -> None:
    """List all tokens, including expired and revoked ones."""
    with project(config) as opened, access_control(config) as (_, access, _trail):
        found, now = access.table.list_tokens(), opened.clock.now()
    if as_json:
        common.print_json([_as_json(token) for token in found])
    elif not found:
        echo("No tokens. Create one with: orchestrator tokens create NAME")
    else:
        rows = [
            (
                one.id,
                one.name,
                one.role,
                one.team or "",
                ", ".join(one.scopes or ("all areas",)),
                "valid" if one.is_valid(now) else "ended",
            )
            for one in found
        ]
        console().print(table(("TOKEN", "NAME", "ROLE", "TEAM", "SCOPES", "STATE"), rows))


@tokens.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="What the token may do.",
)
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(AREAS), help="Limit the token to this area. Repeatable."
)
@click.option("--gateway", is_flag=True, help="Only for the gateway endpoint /v1, with the role operator.")
@click.option("--expires", type=MOMENT, help="When it expires: 90d, or a time.  [default: never]")
@click.option("--daily-tokens", type=click.IntRange(min=1), help="Gateway: tokens per day (UTC).")
@click.option("--daily-usd", type=click.FloatRange(min=0, min_open=True), help="Gateway: US dollars per day (UTC).")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Gateway: requests per minute.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Gateway: concurrent requests.")
@click.option("--monthly-tokens", type=click.IntRange(min=1), help="Gateway: tokens per month (UTC).")
@click.option("--monthly-usd", type=click.FloatRange(min=0, min_open=True), help="Gateway: US dollars per month (UTC).")
@click.option(
    "--soft-percent",
    type=click.FloatRange(min=0, max=100, min_open=True),
    help="Gateway: notify people at this percentage of the limits per day and month.",
)
@click.option("--team", help="The team that the token belongs to; budgets and usage are counted by it.")
@common.json_option
@click.pass_obj
def create(
    config: str,
    /,
    name: str,
    role: str,
    scopes: tuple[str, ...],
    gateway: bool,
    expires: str | None,
    team: str | None,
    as_json: bool,
    **given: float | None,
) -> None:
    """Create a token called NAME, and print its secret."""
    chosen = (GATEWAY,) if gateway else scopes or None  # model calls only, though the role could do more
    limits = {name: value for name in CLIENT_LIMITS if (value := given[name]) is not None}
    with project(config) as opened:
        ends = None if expires is None else ahead(expires, opened.clock.now())
    with access_control(config) as (me, access, trail):
        secret, token = access.add_token(
            name,
            Role.OPERATOR if gateway else Role(role),
            actor=me,
            scopes=chosen,
            expires_at=ends,
            limits=limits,
            team=team,
        )
        trail.write(me, "token made", "done", {"token": token.id, "name": name, "from": "console"})
    _show_created(secret, token, as_json)


def _show_created(secret: str, token: TokenRow, as_json: bool) -> None:
    if as_json:
        common.print_json({"secret": secret, "token": _as_json(token)})
    else:
        # The secret alone goes to standard output, so that a script can capture it; the hint goes to standard error.
        echo(secret)
        echo(f"{token.id}: store the secret above now; it is not shown again", err=True)


@tokens.command("break-glass")
@click.option("--reason", required=True, help="Why; it is on the incident and in the audit trail.")
@click.option("--for", "until", type=MOMENT, default="1h", show_default=True, help="How long, 8h at most.")
@common.json_option
@click.pass_obj
def break_glass(config: str, reason: str, until: str, as_json: bool) -> None:
    """Create an admin's token for an emergency. It expires soon, and an incident pages everybody on call."""
    from orchestration.app.break_glass import break_glass as create_access

    with project(config) as opened:
        ends = ahead(until, opened.clock.now())
        done = create_access(opened, trail_of(opened), reason=reason, until=ends, actor=common.user_name())
    if as_json:
        common.print_json(done)
    else:
        echo(done.secret)
        echo(
            f"{done.token}: valid until {done.expires_at:%H:%M} UTC; {done.incident} tells the people on call", err=True
        )


@tokens.command()
@click.argument("token", metavar="TOKEN")
@common.json_option
@click.pass_obj
def revoke(config: str, token: str, as_json: bool) -> None:
    """Revoke TOKEN. It becomes invalid immediately."""
    with access_control(config) as (me, access, trail):
        ended = access.revoke_token(token, actor=me)
        trail.write(me, "token revoked", "done", {"token": ended.id, "name": ended.name, "from": "console"})
    if as_json:
        common.print_json(_as_json(ended))
    else:
        echo(f"{ended.id}: revoked")


@click.group()
def audit() -> None:
    """List and verify the audit trail: who did what. Each entry is chained to the one before it."""


@audit.command("list")
@click.option("--actor", help="Only entries of this user or token.")
@common.limit_option()
@common.json_option
@click.pass_obj
def list_audit(config: str, actor: str | None, limit: int, as_json: bool) -> None:
    """List the newest entries."""
    with project(config) as opened:
        found = trail_of(opened).table.list(actor=actor, limit=limit)
    if as_json:
        common.print_json(found)
    else:
        rows = [(str(one.sequence), f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.action, one.outcome) for one in found]
        console().print(table(("NUMBER", "TIME (UTC)", "ACTOR", "ACTION", "OUTCOME"), rows))


@audit.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@common.json_option
@click.pass_obj
def export_audit(config: str, file: Path, as_json: bool) -> None:
    """Write all entries to FILE, one JSON object a line. Keep it elsewhere; `audit verify --export` compares it."""
    with project(config) as opened:
        lines, digest = export(trail_of(opened).table, file)
    if as_json:
        common.print_json({"file": str(file), "lines": lines, "digest": digest})
    else:
        echo(f"{lines} entries in {file}; the last digest is {digest or '(none)'}")


@audit.command()
@click.option(
    "--export",
    "exported",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also compare with an earlier export, by which missing entries at the end are noticed.",
)
@common.json_option
@click.pass_obj
def verify(config: str, exported: Path | None, as_json: bool) -> int:
    """Verify all entries. The exit code is 1 if one was changed or removed."""
    with project(config) as opened:
        trail = trail_of(opened)
        found = trail.verify()
        if exported is not None and found.broken_at is None:
            found = compare(trail.table, exported, found)
    if as_json:
        common.print_json(found)
    elif found.broken_at is None:
        echo(f"{found.lines} entries verified; the last digest is {found.digest or '(none)'}")
    else:
        echo(f"entry {found.broken_at} was changed or removed; the {found.lines} before it are intact")
    return 0 if found.broken_at is None else 1


def _as_json(token: TokenRow) -> dict[str, object]:
    # Not even the digest of the secret leaves the database.
    return {name: getattr(token, name) for name in TokenRow.__dataclass_fields__ if name != "digest"}
