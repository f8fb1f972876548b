"""`orchestrator tokens`: what programs show to the API and to the gateway endpoint; and `orchestrator audit`."""

from __future__ import annotations

import click

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ahead
from orchestration.cli.users import admission, trail_of
from orchestration.security.access import AREAS, CLIENT_LIMITS, GATEWAY
from orchestration.security.principal import Role
from orchestration.storage.access import TokenRow


@click.group()
def tokens() -> None:
    """Tokens: TOKEN is an identifier, or an end of one that fits no other."""


@tokens.command("list")
@common.json_option
@click.pass_obj
def list_tokens(config: str, as_json: bool) -> None:
    """List the tokens, those that are over too."""
    with project(config) as here, admission(config) as (_, access, _trail):
        found, now = access.table.list_tokens(), here.clock.now()
    if as_json:
        common.print_json([_plain(token) for token in found])
    elif not found:
        click.echo("no tokens yet; make one: orchestrator tokens create NAME")
    else:
        rows = [
            (
                one.id,
                one.name,
                one.role,
                ", ".join(one.scopes or ("everything",)),
                "good" if one.is_valid(now) else "over",
            )
            for one in found
        ]
        console().print(table(("TOKEN", "NAME", "ROLE", "FOR", "STATE"), rows))


@tokens.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value, show_default=True)
@click.option("--scope", "scopes", multiple=True, type=click.Choice(AREAS), help="Only for this area. Repeatable.")
@click.option("--gateway", is_flag=True, help="For the gateway endpoint /v1 alone, as operator.")
@click.option("--expires", type=MOMENT, help="When it ends: 90d, or a time.  [default: when it is revoked]")
@click.option("--daily-tokens", type=click.IntRange(min=1), help="Gateway: tokens in a day (UTC).")
@click.option("--daily-usd", type=click.FloatRange(min=0, min_open=True), help="Gateway: dollars in a day (UTC).")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Gateway: requests in a minute.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Gateway: requests at once.")
@common.json_option
@click.pass_obj
def create(
    config: str,
    name: str,
    role: str,
    scopes: tuple[str, ...],
    gateway: bool,
    expires: str | None,
    daily_tokens: int | None,
    daily_usd: float | None,
    requests_per_minute: int | None,
    concurrency: int | None,
    as_json: bool,
) -> None:
    """Make a token called NAME and print its secret, this once."""
    chosen = (GATEWAY,) if gateway else scopes or None
    limits = zip(CLIENT_LIMITS, (daily_tokens, daily_usd, requests_per_minute, concurrency), strict=True)
    given = {key: value for key, value in limits if value is not None}
    with project(config) as here:
        ends = None if expires is None else ahead(expires, here.clock.now())
    with admission(config) as (me, access, trail):
        secret, token = access.add_token(
            name, Role.OPERATOR if gateway else Role(role), actor=me, scopes=chosen, expires_at=ends, limits=given
        )
        trail.write(me, "token made", "done", {"token": token.id, "name": name, "from": "console"})
    if as_json:
        common.print_json({"secret": secret, "token": _plain(token)})
    else:
        click.echo(secret)
        click.echo(f"{token.id}: keep the secret above now; it is shown this once and kept nowhere", err=True)


@tokens.command()
@click.argument("token", metavar="TOKEN")
@common.json_option
@click.pass_obj
def revoke(config: str, token: str, as_json: bool) -> None:
    """Have TOKEN open nothing any more, at once."""
    with admission(config) as (me, access, trail):
        ended = access.revoke_token(token, actor=me)
        trail.write(me, "token revoked", "done", {"token": ended.id, "name": ended.name, "from": "console"})
    if as_json:
        common.print_json(_plain(ended))
    else:
        click.echo(f"{ended.id}: opens nothing any more")


@click.group()
def audit() -> None:
    """The audit trail: who did what, each line sealed to the one before it."""


@audit.command("list")
@click.option("--actor", help="Only what this one did.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@common.json_option
@click.pass_obj
def list_audit(config: str, actor: str | None, limit: int, as_json: bool) -> None:
    """List the newest lines."""
    with project(config) as here:
        found = trail_of(here).table.list(actor=actor, limit=limit)
    if as_json:
        common.print_json(found)
    else:
        rows = [(str(one.sequence), f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.action, one.outcome) for one in found]
        console().print(table(("NUMBER", "WHEN (UTC)", "WHO", "WHAT", "OUTCOME"), rows))


@audit.command()
@common.json_option
@click.pass_obj
def verify(config: str, as_json: bool) -> int:
    """Check every line; exit with 1 when one is not as it was written."""
    with project(config) as here:
        found = trail_of(here).verify()
    if as_json:
        common.print_json(found)
    elif found.broken_at is None:
        click.echo(f"{found.lines} lines, all as they were written; the last is sealed {found.digest or '(none)'}")
    else:
        click.echo(f"line {found.broken_at} is not as it was written; the {found.lines} before it are")
    return 0 if found.broken_at is None else 1


def _plain(token: TokenRow) -> dict[str, object]:
    return {name: getattr(token, name) for name in TokenRow.__dataclass_fields__ if name != "digest"}
