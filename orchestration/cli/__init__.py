"""The console command `orchestrator`.

Each group of commands is a module that is imported only when one of its commands is called: importing all of them, with
the database and the durable engine behind them, would make even `--help` take seconds.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from orchestration.cli.output import echo
from orchestration.errors import OrchestratorError, UsageError

# Only these have a variant on the API. The other commands read files of the project or start processes, so they need
# the machine itself, and refusing is better than silently working on the local project.
_REMOTE_COMMANDS = ("runs", "incidents", "isolate", "status")
# click wraps help at 80 columns by default, which breaks most of the option lines here in two
# (https://click.palletsprojects.com/en/stable/api/#click.Context).
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class LazyGroup(click.Group):
    """A group that lists its commands without importing them."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        # In the order of the table, from the first command that a user needs to the rarest; click would sort them by
        # name.
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # None lets click report the unknown command in its usual form.
        if cmd_name not in self._lazy:
            return None
        location = self._lazy[cmd_name][0]
        # click parses the options of the group before it resolves the subcommand, so `--server` is known here.
        if ctx.params.get("server"):
            location = _remote_command(cmd_name)
        module, _, attribute = location.partition(":")
        command: click.Command = getattr(importlib.import_module(f"orchestration.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # click suggests what it has loaded, which is nothing here.
            raise click.NoSuchCommand(error.command_name, possibilities=self._lazy, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # click's own version calls `get_command` for each line of the help, which would import every command.
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._lazy.items()])


def _remote_command(name: str) -> str:
    """The location of the variant of a command that works on a server. Raises UsageError if there is none."""
    if name not in _REMOTE_COMMANDS:
        known = ", ".join(_REMOTE_COMMANDS)
        raise UsageError(f"'{name}' does not work with --server; only {known} do. Run it on the server's machine.")
    return f"remote:{name}"


@click.group(
    cls=LazyGroup,
    context_settings=_CONTEXT,
    lazy={
        "init": ("init:init", "Create a project: write its configuration."),
        "run": ("run:run", "Run the agents on a goal, and follow the run."),
        "demo": ("run:demo", "Work on a sample, kill the provider in the middle, and show the repair."),
        "coordinate": ("coordinate:coordinate", "Show every unfinished or failed run, and continue what can continue."),
        "runs": ("runs:runs", "List, show, resume, cancel, fork and approve runs."),
        "agents": ("agents:agents", "List agents; run or restart one, or all of them in parallel."),
        "mcp": ("mcp:mcp", "List the servers of tools; accept held tools; be a server."),
        "providers": ("providers:providers", "List providers with their state; probe them; read their status pages."),
        "alerts": ("alerts:alerts", "List and show alerts."),
        "heartbeats": ("heartbeats:heartbeats", "List what has to report that it is alive, and what is late."),
        "silences": ("silences:silences", "Mute alerts for a while, now or in a maintenance window."),
        "config": ("config:config", "Validate, show, compare and restore the configuration."),
        "contacts": ("contacts:contacts", "List the contacts; test their channels."),
        "drill": ("drill:drill", "Rehearse failures: inject real faults, and score the response."),
        "playbooks": ("playbooks:playbooks", "List, show, validate and dry-run playbooks; show their history."),
        "incidents": ("incidents:incidents", "List, show, acknowledge, resolve and review incidents."),
        "isolate": ("isolate:isolate", "Isolate the system in an emergency; lift the isolation."),
        "oncall": ("oncall:oncall", "Show who is on call, and who is notified of what."),
        "stats": ("stats:stats", "Show times to detect, acknowledge and resolve, SLA compliance and recurrence."),
        "usage": ("usage:usage", "Show requests, tokens and money by key, team, agent, provider, model or day."),
        "backups": ("backups:backups", "Make, list, verify and restore backups."),
        "maintenance": ("maintenance:maintenance", "List and run maintenance jobs; sign off duties."),
        "reports": ("reports:reports", "List and show digests and reports."),
        "status": ("status:status", "Show the state of the system on one screen."),
        "doctor": ("doctor:doctor", "Check this machine and this project, and say what to fix."),
        "serve": ("serve:serve", "Start the control process: workers, incident response, dashboard and API."),
        "endpoint": ("endpoint:endpoint", "Serve the gateway endpoint by itself, in several processes on one port."),
        "worker": ("worker:worker", "Join a project as a worker, from any machine; list its workers."),
        "db": ("db:db", "Check, upgrade and move the database."),
        "users": ("users:users", "Add, change and list who can sign in."),
        "credentials": ("credentials:credentials", "Probe an exposed credential at its vendor."),
        "secrets": ("secrets:secrets", "Find secrets in files, and in the history of git."),
        "advisories": ("advisories:advisories", "Known vulnerabilities of the installed packages."),
        "sbom": ("sbom:sbom", "List what is installed, as a bill of materials (CycloneDX)."),
        "tokens": ("tokens:tokens", "Create and revoke tokens for the API and the gateway endpoint."),
        "audit": ("tokens:audit", "List and verify the audit trail."),
    },
)
@click.option(
    "--config",
    "config_file",
    envvar="ORCHESTRATOR_CONFIG",
    default="config/agents.config.json",
    show_default=True,
    help="The configuration file. Other paths are relative to its project folder.",
)
@click.option(
    "--server",
    envvar="ORCHESTRATOR_SERVER",
    metavar="URL",
    help="Work on a server (runs, incidents, isolate, status), with the token in ORCHESTRATOR_TOKEN.",
)
@click.version_option(package_name="agent-orchestration", prog_name="orchestrator")
@click.pass_context
def cli(context: click.Context, config_file: str, server: str | None) -> None:  # noqa: ARG001 (read by `get_command`)
    """Agents that answer their own pager: a durable runtime for multi-agent workflows with its own incident
    response."""
    context.obj = config_file


def main() -> None:
    """Run the console command. Every expected error becomes one message and an exit code."""
    try:
        # Outside its standalone mode click returns a command's return value, which is the exit code here, and raises
        # its errors to the caller (https://click.palletsprojects.com/en/stable/api/#click.Command.main).
        code = cli(standalone_mode=False)
    except OrchestratorError as error:
        echo(f"orchestrator: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        # click gives 1 to some of its own errors; here each of them is a wrong request, as UsageError is.
        code = 2
    except (KeyboardInterrupt, click.Abort):
        echo("orchestrator: interrupted", err=True)
        code = 130  # 128 + SIGINT, as shells report it
    except BrokenPipeError:
        # The reader has gone away (`| head`). Python flushes standard output once more at exit, which would print
        # another error, so it gets a place to write to (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if (message := _environment_error(error)) is None:
            raise
        echo(f"orchestrator: {message}", err=True)
        # Python keeps undecodable bytes of an argument as surrogates (PEP 383), which fail when they are first
        # encoded: this is a wrong argument, not a failure of the system.
        code = 2 if isinstance(error, UnicodeEncodeError) else 1
    # A command without a return value has succeeded.
    sys.exit(code if isinstance(code, int) else 0)


def _environment_error(error: Exception) -> str | None:
    """A message for an error of the environment; None for a bug, whose traceback says where it is."""
    # Looked up and not imported: if SQLAlchemy is not loaded, the error cannot be one of its own.
    database = sys.modules.get("sqlalchemy.exc")
    if database is not None and isinstance(error, database.DBAPIError):
        return f"the database failed: {error.orig}. What was committed is safe, and unfinished runs can be resumed."
    if isinstance(error, UnicodeEncodeError):
        return "an argument is not valid UTF-8"
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return None
