"""`orchestrator providers`: list the providers with their state, probe them, and read their vendors' status pages."""

from __future__ import annotations

import click
from rich.text import Text

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, first_line, table
from orchestration.errors import NotFoundError
from orchestration.events.providers import LearnedForgotten
from orchestration.monitoring.health.service_documents import ServiceState
from orchestration.monitoring.health.service_status import ServiceHealth
from orchestration.providers.learned_routes import forget_learned, learned_routes
from orchestration.providers.provider_summary import ProviderSummary, overview
from orchestration.storage.route_states import RouteStates

_COLOURS = {"closed": "green", "open": "red", "half-open": "yellow"}


@click.group()
def providers() -> None:
    """The providers of the configuration."""


@providers.command("list")
@common.json_option
@click.pass_obj
def list_providers(config: str, as_json: bool) -> None:
    """List the providers: state, use and limits, position in the fallback chain, and whether the key is set."""
    with project(config) as here:
        credentials = here.store.credentials
        states = RouteStates(here.database).load()
        found = overview(here.configuration, lambda name: credentials.get(name) is not None, states, here.clock.now())
    if as_json:
        common.print_json(found)
        return
    columns = ("#", "PROVIDER", "MODEL", "STATE", "IN USE", "KEY", "ABOUT")
    console().print(table(columns, [_row(line) for line in found]))


@providers.command("probe")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--deep", is_flag=True, help="Generate a few tokens as well. That may cost money.")
@common.json_option
@click.pass_obj
def probe(config: str, names: tuple[str, ...], deep: bool, as_json: bool) -> int:
    """Probe each NAME, by default all enabled providers; exit code 1 if one does not answer."""
    # Only a probe needs the gateway; `list` reads the states that running processes have stored.
    from orchestration.app.provider_probes import probe_providers

    with project(config) as here:
        known = here.configuration.runtime.providers
        # A name given twice would be probed twice at the same time. Disabled providers are probed only by name.
        chosen = tuple(dict.fromkeys(names)) or tuple(name for name, one in known.items() if one.enabled)
        results = common.run_async(lambda: probe_providers(here, chosen, deep=deep))
    if as_json:
        common.print_json([{**common.plain(one), "ok": one.ok} for one in results])
    else:
        rows = [(one.provider, _outcome(one.outcome), f"{one.seconds:.2f} s", one.detail) for one in results]
        console().print(table(("PROVIDER", "ANSWER", "TOOK", "ABOUT"), rows))
    return 0 if all(one.ok for one in results) else 1


@providers.command("health")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@common.json_option
@click.pass_obj
def health(config: str, names: tuple[str, ...], as_json: bool) -> int:
    """Read what the vendors of the providers report about themselves: their status pages, and Azure's Resource Health
    where a revoker may read it; exit code 1 if one reports an outage."""
    from orchestration.app.provider_health import read_service_health

    with project(config) as here:
        found = common.run_async(
            lambda: read_service_health(here.configuration, here.store.credentials, here.clock, names)
        )
    if as_json:
        common.print_json([common.plain(one) for one in found])
    elif not found:
        echo("No provider has a status page. Name one in `statusUrl`.")
    else:
        rows = [(one.provider, _reported(one.state), *_announced(one)) for one in found]
        console().print(table(("PROVIDER", "VENDOR REPORTS", "SINCE", "ABOUT"), rows))
    return 1 if any(one.state.is_trouble for one in found) else 0


@providers.command("learned")
@common.json_option
@click.pass_obj
def learned(config: str, as_json: bool) -> None:
    """List what was learned from refusals and lists of models: what each model understands, and how much it reads. It
    expires after a day, and is then learned again."""
    with project(config) as here:
        found = tuple(learned_routes(here.configuration, RouteStates(here.database).load(), here.clock.now()))
    if as_json:
        common.print_json(found)
    elif not found:
        echo("Nothing was learned: no model has refused anything, and no list of models names their contexts.")
    else:
        rows = [
            (one.provider, one.model, "; ".join(one.facts), f"{one.expires_at:%Y-%m-%d %H:%M} UTC") for one in found
        ]
        console().print(table(("PROVIDER", "MODEL", "KNOWN", "UNTIL"), rows))


@providers.command("forget")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def forget(config: str, names: tuple[str, ...]) -> None:
    """Forget what was learned of the models of each NAME, by default of all providers: after a server was updated or a
    model replaced, say. Running processes follow within a second."""
    with project(config) as here:
        known = here.configuration.runtime.providers
        if unknown := [name for name in names if name not in known]:
            raise NotFoundError(f"There is no provider '{unknown[0]}'. Configured providers: {', '.join(known)}.")
        chosen = tuple(dict.fromkeys(names)) or tuple(known)
        forget_learned(RouteStates(here.database), here.configuration, chosen, here.clock.now())
        here.bus.publish(LearnedForgotten(chosen), actor=common.user_name())
    echo(f"Forgotten: what was learned of the models of {', '.join(chosen)}.")


def _reported(state: ServiceState) -> Text:
    colours = {ServiceState.OPERATIONAL: "green", ServiceState.UNKNOWN: "dim"}
    return Text(state.value, style=colours.get(state, "red"))


def _announced(health: ServiceHealth) -> tuple[str, str]:
    """Since when there is trouble, and what the vendor calls it; else what was read."""
    since = min((one.since for one in health.outages if one.since), default=None)
    titles = "; ".join(one.title for one in health.outages)
    sources = "; ".join(f"{source}: {said}" for source, said in health.sources.items())
    return f"{since:%Y-%m-%d %H:%M} UTC" if since else "", first_line(titles or sources, 160)


def _row(line: ProviderSummary) -> tuple[str | Text, ...]:
    key = "none needed" if line.key is None else f"{line.key} {'set' if line.key_present else 'missing'}"
    state = line.state if line.enabled else "disabled"
    return (
        str(line.order or ""),
        line.provider,
        line.model or "none",
        Text(state, style=_COLOURS.get(state, "dim")),
        f"{line.in_use} of {line.limit}",
        key,
        "; ".join(_remarks(line)),
    )


def _remarks(line: ProviderSummary) -> list[str]:
    remarks = ["rehearsal: no real model answers"] if line.rehearsal else []
    if line.limit == 0:
        remarks.append("paused")
    if line.reason:
        remarks.append(f"{line.reason.replace('_', ' ')}: {first_line(line.last_failure, 80)}".rstrip(": "))
    if line.usable_at is not None:
        what = "probed" if line.state == "open" else "held back"
        until = "at" if line.state == "open" else "until"
        remarks.append(f"{what} {until} {line.usable_at:%H:%M:%S} UTC")
    remarks += [f"{name} {value:g}" for name, value in line.headroom.items() if name.startswith("remaining")]
    return remarks


def _outcome(outcome: str) -> Text:
    return Text(outcome.replace("_", " "), style="green" if outcome == "ok" else "red")
