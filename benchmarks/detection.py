"""`python -m benchmarks.detection [--samples N] [SCENARIO…]`: from the cause of a trouble to the page, by scenario.

A project is served with its stock settings and the five troubles are caused for real, each several times in a project
of its own. Beside it, Prometheus scrapes a gauge that changes at the same moment, and a rule without any `for` hands it
to Alertmanager, which posts to a webhook: both as Debian ships them (15 s between scrapes and evaluations, 30 s until a
group is told). Only the limit after which a run counts as stalled is shorter than ours, 5 s for both, and both are
timed from that limit on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio

from benchmarks.hook import Hook, a_hook
from orchestration.clock import SystemClock
from orchestration.drills.disk import small_disk
from orchestration.drills.environment import DrillEnvironment, drill_environment
from orchestration.drills.setup import DrillSetting
from orchestration.events import Event
from orchestration.rehearsal.scenes import scripted_calls
from orchestration.storage.timeline import Timeline

SAMPLES = 3
STALLED_SECONDS = 5.0
_DISK_MB = 256
_LEFT_MB = 18
_PATIENCE_SECONDS = 120.0
# Everything else that the drills' projects set shorter is left to the product.
_OURS = ("probeSeconds", "resourceSeconds", "scanSeconds", "thresholds")
_PROMETHEUS = """
global: {{scrape_interval: 15s, evaluation_interval: 15s}}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}
rule_files: [rules.yml]
scrape_configs: [{{job_name: troubles, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]
"""
_RULES = """
groups: [{name: troubles, rules: [{alert: Trouble, expr: trouble == 1}]}]
"""
_ALERTMANAGER = """
route: {{receiver: hook, group_by: [trouble]}}
receivers: [{{name: hook, webhook_configs: [{{url: '{url}'}}]}}]
"""
# Put together here, so that no scanner of this repository takes it for a real one.
_LEAKING = """\
from pathlib import Path

Path("notes.txt").write_text("aws_access_key_id = AKIA" + "DR1LL" * 3 + "X\\n")
"""
_USE_THE_TOOL = f"Use the tool.\n{scripted_calls.line('run_command', command=['python3', 'tool.py'])}\n"


class Exporter:
    """Gauges that say which troubles there are, as Prometheus reads them."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [f'trouble{{trouble="{name}"}} 1\n' for name in list(exporter.since)]
                body = "".join(["trouble_exporter 1\n", *lines]).encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Peers:
    """Prometheus and Alertmanager, and when their webhook heard of each trouble."""

    def __init__(self, exporter: Exporter, hook: Hook) -> None:
        self.exporter = exporter
        self._hook = hook

    def heard(self) -> dict[str, float]:
        """When each trouble was first told of."""
        heard: dict[str, float] = {}
        for at, body in list(self._hook.received):
            for alert in body["alerts"]:
                heard.setdefault(alert["labels"]["trouble"], at)
        return heard

    async def seconds(self) -> dict[str, float]:
        """How long each trouble took to be told of, when all have been."""
        since = self.exporter.since
        await until(lambda: set(since) <= set(self.heard()), "Alertmanager")
        return {name: self.heard()[name] - begun for name, begun in since.items()}


@contextmanager
def peers() -> Iterator[Peers]:
    programs = [shutil.which(name) for name in ("prometheus", "prometheus-alertmanager")]
    if None in programs:
        sys.exit("expected Debian's packages prometheus and prometheus-alertmanager, got less; install them")
    with tempfile.TemporaryDirectory() as name, a_hook() as hook, ExitStack() as stack:
        folder, exporter, ports = Path(name), Exporter(), [_free_port(), _free_port()]
        (folder / "rules.yml").write_text(_RULES)
        (folder / "prometheus.yml").write_text(_PROMETHEUS.format(alertmanager=ports[1], exporter=exporter.port))
        (folder / "alertmanager.yml").write_text(_ALERTMANAGER.format(url=hook.url))
        commands = (
            [
                *(str(programs[0]), f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{ports[0]}"),
            ],
            [
                *(str(programs[1]), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am"),
                *("--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{ports[1]}"),
            ],
        )
        for command in commands:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield Peers(exporter, hook)


async def provider_stopped(ground: DrillEnvironment) -> float:
    await ground.run(ground.sample.goal)
    await ground.wait_for_calls(3)
    await ground.primary.kill()
    return time.time()


async def agent_crashes(ground: DrillEnvironment) -> float:
    await ground.primary.fault("bad_json_answer", match={"role": "reviewer"})
    begun = ground.clock.now()
    await ground.run(ground.sample.goal)

    def failed() -> list[Event]:
        found = Timeline(ground.database).list_recent(["agent.finished"], begun)
        return [event for event in found if event.data["failing"]]

    found = await ground.until(lambda: ground.database.call(failed), "the reviewer to fail", _PATIENCE_SECONDS)
    return found[0].at.timestamp()


async def step_hangs(ground: DrillEnvironment) -> float:
    await ground.primary.fault("hang", match={"role": "reviewer"})
    await ground.run(ground.sample.goal)

    async def hangs() -> bool:
        return any(call["role"] == "reviewer" and call["fault"] == "hang" for call in await ground.calls())

    await ground.until(hangs, "the reviewer's call to hang", _PATIENCE_SECONDS)
    await ground.clock.sleep(STALLED_SECONDS)
    return time.time()


async def disk_fills(ground: DrillEnvironment) -> float:
    free = shutil.disk_usage(ground.folder).free
    (ground.folder / "big").write_bytes(b"x" * (free - _LEFT_MB * 1_048_576))
    return time.time()


async def secret_written(ground: DrillEnvironment) -> float:
    (ground.workspace / "tool.py").write_text(_LEAKING)
    await ground.run(_USE_THE_TOOL, agent="helper")
    await ground.wait_for_file("notes.txt")
    return (ground.workspace / "notes.txt").stat().st_mtime


SCENARIOS: Mapping[str, Callable[[DrillEnvironment], Awaitable[float]]] = {
    "provider-unavailable": provider_stopped,
    "agent-failure": agent_crashes,
    "workflow-stuck": step_hangs,
    "high-resource-usage": disk_fills,
    "security-alert": secret_written,
}


@asynccontextmanager
async def served(scenario: str, hook: Hook) -> AsyncIterator[DrillEnvironment]:
    """A project that is served with stock settings, and pages the hook."""
    disk = _DISK_MB if scenario == "high-resource-usage" else None
    setting = DrillSetting(providers=("first",), latency_ms=6, disk_mb=disk)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        stack.enter_context(small_disk(folder, disk))
        ground = await stack.enter_async_context(drill_environment(folder / "p", setting, SystemClock()))
        ground.write_configuration(stock(ground.read_configuration(), hook.url))
        await ground.serve()
        yield ground


def stock(document: dict[str, Any], url: str) -> dict[str, Any]:
    """The configuration of a drill's project with what the product ships instead of short intervals and patience."""
    document["monitoring"] = {key: value for key, value in document["monitoring"].items() if key not in _OURS}
    document["monitoring"]["thresholds"] = {"stalledSeconds": STALLED_SECONDS, "diskFreePercent": 10}
    for name in ("timeouts", "breaker"):
        document["runtime"]["first"].pop(name, None)
    # The load of the measurement itself would set that one off.
    document["alerting"] = {"rules": {"cpu-high": {"enabled": False}}}
    document["automation"] = {"enabled": False}
    person = {"id": "ada", "level": 1, "channels": [{"channel": "hook"}]}
    document["response"] = {"channels": {"hook": {"type": "webhook", "url": url}}, "contacts": [person]}
    return document


async def ours(scenario: str, name: str, listening: Peers) -> float:
    """Seconds from the cause to the page, in a project of its own; the peers are left to find out about it."""
    with a_hook() as hook:
        async with served(scenario, hook) as ground:
            caused = await SCENARIOS[scenario](ground)
            listening.exporter.since[name] = time.time()

            def paged() -> list[float]:
                notices = [(at, body["data"]["notice"]) for at, body in list(hook.received)]
                return [at for at, notice in notices if (notice["kind"], notice["scenario"]) == ("initial", scenario)]

            await until(lambda: bool(paged()), f"the page of {scenario}")
            return paged()[0] - caused


async def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited {_PATIENCE_SECONDS:g} s in vain for {what}")
        await anyio.sleep(0.02)


async def measure(scenarios: Sequence[str], samples: int) -> None:
    """Every scenario once, then all of them again, so that a slow moment hits them all."""
    print("\n## From the cause to the page\n")
    print("Medians of", samples, "samples, with the least and the most, in seconds.\n")
    with peers() as listening:
        seconds: dict[str, list[float]] = {scenario: [] for scenario in scenarios}
        for number in range(1, samples + 1):
            for scenario in scenarios:
                seconds[scenario].append(await ours(scenario, f"{scenario}/{number}", listening))
                print(f"{scenario} {number}: {seconds[scenario][-1]:.1f} s", file=sys.stderr)
        theirs = await listening.seconds()
    print("| scenario | ours | Prometheus and Alertmanager | ratio |\n| --- | ---: | ---: | ---: |")
    for scenario, own in seconds.items():
        others = [theirs[f"{scenario}/{number}"] for number in range(1, samples + 1)]
        ratio = statistics.median(others) / statistics.median(own)
        print(f"| {scenario} | {told_of(own)} | {told_of(others)} | {ratio:.0f} |")


def told_of(seconds: Sequence[float]) -> str:
    """The median, and the range where there is one."""
    middle = f"{statistics.median(seconds):.1f}"
    return middle if len(seconds) == 1 else f"{middle} ({min(seconds):.1f}–{max(seconds):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"some of: {', '.join(SCENARIOS)}")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each scenario")
    given = parser.parse_args()
    unknown = [name for name in given.scenarios if name not in SCENARIOS]
    if unknown or given.samples < 1:
        parser.error(f"expected some of {', '.join(SCENARIOS)} and at least one sample, got: {' '.join(sys.argv[1:])}")
    if os.geteuid() != 0:
        sys.exit("expected root, who may mount a small disk, got another user")
    anyio.run(measure, given.scenarios or list(SCENARIOS), given.samples)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
