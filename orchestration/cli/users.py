"""`orchestrator users`: who can sign in to the dashboard and the API."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from orchestration.app import ProjectRecords, project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Role
from orchestration.security.second_factor import SecondFactors
from orchestration.storage.access import AccessTable, UserRow
from orchestration.storage.audit import AuditTable
from orchestration.storage.second_factors import SecondFactorTable

_role = click.Choice([role.value for role in Role])
_stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
_MAX_PASSWORD = 1024


@click.group()
def users() -> None:
    """Manage users. Their roles are viewer, responder, operator and admin; each includes the ones before it."""


@users.command("list")
@common.json_option
@click.pass_obj
def list_users(config: str, as_json: bool) -> None:
    """List the users."""
    with project(config) as opened:
        found, protected = AccessTable(opened.database).list_users(), SecondFactorTable(opened.database).users()
    if as_json:
        common.print_json([{**_as_json(user), "second_factor": user.name in protected} for user in found])
    elif not found:
        echo("No users. Add one with: orchestrator users add NAME --role admin")
    else:
        rows = [
            (one.name, one.role, "disabled" if one.disabled_at else "enabled", "yes" if one.name in protected else "no")
            for one in found
        ]
        console().print(table(("USER", "ROLE", "STATE", "SECOND FACTOR"), rows))


@users.command()
@click.argument("name")
@click.option("--role", type=_role, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@_stdin_option
@common.json_option
@click.pass_obj
def add(config: str, name: str, role: str, password_stdin: bool, as_json: bool) -> None:
    """Add the user NAME."""
    password = read_password(from_stdin=password_stdin)
    with access_control(config) as (me, access, trail):
        user = access.add_user(name, Role(role), password, actor=me)
        trail.write(me, "user added", "done", {"user": name, "role": role, "from": "console"})
    _print_user(user, as_json)


@users.command()
@click.argument("name")
@click.argument("role", type=_role)
@common.json_option
@click.pass_obj
def role(config: str, name: str, role: str, as_json: bool) -> None:
    """Change the role of NAME to ROLE."""
    with access_control(config) as (me, access, trail):
        user = access.change_user(name, actor=me, role=Role(role))
        trail.write(me, "user's role changed", "done", {"user": name, "role": role, "from": "console"})
    _print_user(user, as_json)


@users.command()
@click.argument("name")
@_stdin_option
@common.json_option
@click.pass_obj
def password(config: str, name: str, password_stdin: bool, as_json: bool) -> None:
    """Change the password of NAME. All sessions of the user end."""
    chosen = read_password(from_stdin=password_stdin)
    with access_control(config) as (me, access, trail):
        user = access.change_user(name, actor=me, password=chosen)
        trail.write(me, "user's password changed", "done", {"user": name, "from": "console"})
    _print_user(user, as_json)


@users.command()
@click.argument("name")
@common.json_option
@click.pass_obj
def disable(config: str, name: str, as_json: bool) -> None:
    """Disable NAME. All sessions of the user end immediately."""
    _set_disabled(config, name, as_json, disabled=True)


@users.command()
@click.argument("name")
@common.json_option
@click.pass_obj
def enable(config: str, name: str, as_json: bool) -> None:
    """Let NAME in again."""
    _set_disabled(config, name, as_json, disabled=False)


@users.command("sign-out")
@click.argument("name")
@common.json_option
@click.pass_obj
def sign_out(config: str, name: str, as_json: bool) -> None:
    """End all sessions of NAME, on every device."""
    with access_control(config) as (me, access, trail):
        ended = access.sign_out_everywhere(name, actor=me)
        trail.write(me, "user signed out", "done", {"user": name, "sessions": ended, "from": "console"})
    if as_json:
        common.print_json({"name": name, "ended": ended})
    else:
        echo(f"{name}: {ended} session{'' if ended == 1 else 's'} ended")


@users.command("reset-second-factor")
@click.argument("name")
@common.json_option
@click.pass_obj
def reset_second_factor(config: str, name: str, as_json: bool) -> None:
    """Remove the second factor of NAME, who has lost it. All sessions of the user end."""
    with project(config) as opened:
        me, trail = common.user_name(), trail_of(opened)
        user = AccessControl(opened.database, opened.bus, opened.clock).user(name)
        SecondFactors(opened.database, opened.bus, opened.clock, opened.second_factor_key).remove(name, actor=me)
        trail.write(me, "second factor reset", "done", {"user": name, "from": "console"})
    if as_json:
        common.print_json({**_as_json(user), "second_factor": False})
    else:
        echo(f"{name}: second factor removed, sessions ended")


@contextmanager
def access_control(config: str) -> Iterator[tuple[str, AccessControl, AuditTrail]]:
    """The name of the console's user, access control, and the audit trail.

    There is no check of roles here: whoever can write the database file could change the users anyway.
    """
    with project(config) as opened:
        yield common.user_name(), AccessControl(opened.database, opened.bus, opened.clock), trail_of(opened)


def trail_of(opened: ProjectRecords) -> AuditTrail:
    """A project's audit trail."""
    return AuditTrail(AuditTable(opened.database), opened.bus, opened.clock, opened.redactor.data)


def read_password(*, from_stdin: bool) -> str:
    """A password, typed twice at the terminal without echo, or read from the first line of standard input."""
    if from_stdin:
        # The limit keeps a file that is piped in by mistake from being read into memory; scrypt gets no endless input.
        return sys.stdin.readline(_MAX_PASSWORD).rstrip("\r\n")
    # Never as an argument of the command: those are visible to every user of the machine in the list of processes.
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _set_disabled(config: str, name: str, as_json: bool, *, disabled: bool) -> None:
    with access_control(config) as (me, access, trail):
        user = access.change_user(name, actor=me, disabled=disabled)
        # Entries with these texts are stored in the trail, which is never rewritten, so they keep their first
        # wording.
        trail.write(me, "user kept out" if disabled else "user let in", "done", {"user": name, "from": "console"})
    _print_user(user, as_json)


def _print_user(user: UserRow, as_json: bool) -> None:
    if as_json:
        common.print_json(_as_json(user))
    else:
        echo(f"{user.name}: {user.role}" + (", disabled" if user.disabled_at else ""))


def _as_json(user: UserRow) -> dict[str, object]:
    return {"name": user.name, "role": user.role, "created_at": user.created_at, "disabled_at": user.disabled_at}
