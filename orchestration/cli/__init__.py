"""The console command. Each group of commands is a module that is loaded only when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from orchestration.errors import OrchestratorError, UsageError

_ON_SERVER = ("runs", "incidents", "status")
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class LazyGroup(click.Group):
    """A group whose commands are named with their help, and imported when they are called."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        place = self._lazy[cmd_name][0]
        if ctx.params.get("server"):
            place = _on_server(cmd_name)
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"orchestration.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._lazy.items()])


def _on_server(name: str) -> str:
    """Where a command is that works on a server instead of on this machine's project. Raises UsageError."""
    if name not in _ON_SERVER:
        raise UsageError(f"expected one of {', '.join(_ON_SERVER)} with --server, got '{name}'; run it on that machine")
    return f"remote:{name}"


@click.group(
    cls=LazyGroup,
    context_settings=_CONTEXT,
    lazy={
        "init": ("init:init", "Begin a project: write its configuration."),
        "run": ("run:run", "Work a goal through the agents, and follow it."),
        "demo": ("run:demo", "Work a real goal on the sample repository."),
        "coordinate": ("run:coordinate", "Go on with unfinished runs, or start one."),
        "runs": ("runs:runs", "List, show, resume, cancel, fork and approve runs."),
        "agents": ("agents:agents", "List agents; run one, or all at once."),
        "providers": ("providers:providers", "List providers and their state; probe them."),
        "alerts": ("alerts:alerts", "List and show alerts."),
        "silences": ("silences:silences", "Mute alerts for a time, now or in a window of maintenance."),
        "config": ("config:config", "Validate, show, compare and restore the configuration."),
        "contacts": ("contacts:contacts", "List who is told of incidents; test their channels."),
        "drill": ("drill:drill", "Rehearse failures: inject real faults, and score what becomes of them."),
        "playbooks": ("playbooks:playbooks", "List, show, check and foresee playbooks; what they have done."),
        "incidents": ("incidents:incidents", "List, show, acknowledge, resolve and review incidents."),
        "oncall": ("oncall:oncall", "Who is on call, and who is told of what."),
        "stats": ("stats:stats", "Time to detect, to acknowledge and to resolve; SLA kept; recurrence."),
        "backups": ("backups:backups", "Make, list, check and restore backups."),
        "maintenance": ("maintenance:maintenance", "Jobs of maintenance; what people sign off."),
        "reports": ("reports:reports", "List and show the digests and reports."),
        "status": ("status:status", "What is going on, in one screen."),
        "doctor": ("doctor:doctor", "Check this machine and this project, and say what to mend."),
        "serve": ("serve:serve", "Take runs, respond to incidents, serve dashboard and API, until told to stop."),
        "users": ("users:users", "Add, change and list who can sign in."),
        "tokens": ("tokens:tokens", "Make and revoke tokens for the API and the gateway endpoint."),
        "audit": ("tokens:audit", "Who did what; check that nobody has changed it."),
    },
)
@click.option(
    "--config",
    "config_file",
    envvar="ORCHESTRATOR_CONFIG",
    default="config/agents.config.json",
    show_default=True,
    help="The configuration file; its project is the folder that everything else is relative to.",
)
@click.option(
    "--server",
    envvar="ORCHESTRATOR_SERVER",
    metavar="URL",
    help="Work on a server (runs, incidents, status), with the token in ORCHESTRATOR_TOKEN.",
)
@click.version_option(package_name="agent-orchestration", prog_name="orchestrator")
@click.pass_context
def cli(context: click.Context, config_file: str, server: str | None) -> None:  # noqa: ARG001 (read by `get_command`)
    """Agents that answer their own pager: durable multi-agent work, and the response when it goes wrong."""
    context.obj = config_file


def main() -> None:
    """Run the console command; every error becomes one message and an exit code."""
    try:
        code = cli(standalone_mode=False)
    except OrchestratorError as error:
        click.echo(f"orchestrator: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("orchestrator: interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader went away (`| head`): nothing to say, and nowhere to say it. Keep the interpreter from trying.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        click.echo(f"orchestrator: {sentence}", err=True)
        code = 2 if isinstance(error, UnicodeEncodeError) else 1
    sys.exit(code if isinstance(code, int) else 0)


def _sentence(error: Exception) -> str | None:
    """What the surroundings did to us, for people; None for what is a fault of ours, which shows where it is."""
    database = sys.modules.get("sqlalchemy.exc")
    if database is not None and isinstance(error, database.DBAPIError):
        return f"the database failed: {error.orig}; what was committed is safe, and unfinished runs can be resumed"
    if isinstance(error, UnicodeEncodeError):
        return "expected arguments as text in UTF-8, got other bytes"
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return None
