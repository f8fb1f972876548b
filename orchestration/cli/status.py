"""`orchestrator status`: the state of the project on one screen."""

from __future__ import annotations

import click

from orchestration.app import project
from orchestration.app.overview import Overview, overview
from orchestration.cli import common
from orchestration.cli.isolate import echo_isolation
from orchestration.cli.output import echo
from orchestration.cli.questions import OpenQuestion, question_lines
from orchestration.cli.render import age, alarm_line, console, runs_table, storm_line, table
from orchestration.config.isolation import isolation_of


@click.command()
@common.json_option
@click.pass_obj
def status(config: str, as_json: bool) -> None:
    """Show the state of the project on one screen: severe incidents that nobody has acknowledged, then runs, open
    questions, unavailable providers, processes."""
    with project(config) as here:
        found = overview(here)
        if as_json:
            common.print_json(found)
            return
        echo_isolation(isolation_of(here.store))
        for row in found.unacknowledged:
            echo(alarm_line(row.id, row.severity.value, row.title, age(here.clock.now(), row.detected_at)))
        for row in found.storms:
            echo(storm_line(row.id, row.severity.value, row.title))
        echo(_summary(found))
        if found.runs:
            console().print(runs_table(found.runs, here.clock.now()))
        questions = [OpenQuestion(one.id, one.subject, one.question) for one in found.questions]
        for line in question_lines(questions):
            echo(line)
        for route in found.providers:
            echo(f"out of use: {route.provider}/{route.model}, {route.reason}, as of {route.since}")
        for heartbeat in found.heartbeats:
            since = age(here.clock.now(), heartbeat.since)
            echo(f"heartbeat {heartbeat.name}: {heartbeat.status.value} since {since}; {heartbeat.expected}")
        _print_processes(found)
        if here.store.refused:
            echo("the configuration file cannot be used; see: orchestrator config validate")


def _summary(found: Overview) -> str:
    workers = sum(len(control["workers"]) for control in found.control)
    serving = f"{workers} workers" if found.control else "nobody serves (start it: orchestrator serve)"
    return f"{len(found.runs)} unfinished runs, {len(found.questions)} questions wait for an answer, {serving}"


def _print_processes(found: Overview) -> None:
    rows = [
        (str(worker["pid"] or ""), control["host"], worker["state"], f"{worker['memoryMb']} MB", worker["doing"])
        for control in found.control
        for worker in control["workers"]
    ]
    # A supervised worker also holds a lease of its own; without this it would be listed twice.
    supervised = {(control["host"], worker["pid"]) for control in found.control for worker in control["workers"]}
    supervised |= {(control["host"], control["pid"]) for control in found.control}
    rows += [
        (str(process.pid), process.host, "works", "", "a worker on its own" if process.shared else "a console command")
        for process in found.processes
        if (process.host, process.pid) not in supervised
    ]
    if rows:
        console().print(table(("PROCESS", "HOST", "STATE", "MEMORY", "DOES"), rows))
