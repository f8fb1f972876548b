"""`python -m benchmarks.detection`: from the cause of a trouble to the page, for each scenario.

A project is served with its stock settings and the five troubles are caused for real, one after the other. Beside it,
Prometheus scrapes a gauge that changes at the same moment, and a rule without any `for` hands it to Alertmanager, which
posts to a webhook: both as Debian ships them (15 s between scrapes and evaluations, 30 s until a group is told). Only
the limit after which a run counts as stalled is shorter than ours, 5 s for both, and both are timed from that limit on.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.project import provider_at, wait_until
from tests.support.receivers import HttpReceiver, http_receiver
from tests.support.rehearsal import RehearsalProcess, a_provider
from tests.support.watched import Watched, a_watched_project

STALLED_SECONDS = 5.0
_STOCK = {"probeSeconds": 15, "resourceSeconds": 5, "scanSeconds": 10}
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
route: {{receiver: hook, group_by: [scenario]}}
receivers: [{{name: hook, webhook_configs: [{{url: '{url}'}}]}}]
"""


class Exporter:
    """Gauges that say which trouble there is, as Prometheus reads them."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [f'trouble{{scenario="{name}"}} 1\n' for name in exporter.since]
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

    def __init__(self, exporter: Exporter, hook: HttpReceiver) -> None:
        self.exporter = exporter
        self.heard: dict[str, float] = {}
        self._hook = hook
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            for body in self._hook.bodies():
                for alert in body["alerts"]:
                    self.heard.setdefault(alert["labels"]["scenario"], time.time())
            time.sleep(0.02)


@contextmanager
def peers() -> Iterator[Peers]:
    programs = [shutil.which(name) for name in ("prometheus", "prometheus-alertmanager")]
    if None in programs:
        sys.exit("expected Debian's packages prometheus and prometheus-alertmanager, got less; install them")
    with tempfile.TemporaryDirectory() as name, http_receiver() as hook, ExitStack() as stack:
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


def provider_stopped(project: Watched, provider: RehearsalProcess) -> float:
    project.start_run("--patience", "60")
    provider.wait_for_calls(3)
    provider.kill()
    return time.time()


def agent_crashes(project: Watched, provider: RehearsalProcess) -> float:
    provider.set_fault("bad_json_answer", match={"role": "reviewer"})
    project.start_run()
    found = wait_until(
        lambda: re.findall(r"(\S+) \S+ agent\.finished .*malformed_answer", project.log.read_text()), "it"
    )
    return datetime.fromisoformat(found[-1]).timestamp()


def step_hangs(project: Watched, provider: RehearsalProcess) -> float:
    provider.set_fault("hang", match={"role": "reviewer"})
    project.start_run()
    wait_until(lambda: any(call["role"] == "reviewer" and call["fault"] == "hang" for call in provider.calls()), "it")
    time.sleep(STALLED_SECONDS)
    return time.time()


def disk_fills(project: Watched, _: RehearsalProcess) -> float:
    disk = Path(project.settings["runtime"]["artifactsDirectory"])
    (disk / "big").write_bytes(b"x" * 19 * 1_048_576)
    return time.time()


def secret_written(project: Watched, provider: RehearsalProcess) -> float:
    provider.set_fault("slow", number=3)
    project.start_run()
    wait_until(lambda: project.rows("SELECT 1 FROM runs WHERE status = 'running'"), "a run at work")
    (project.sample.workspace / "settings.ini").write_text("token = ghp_" + "aB3dE5gH7j" * 3 + "K9mN1p\n")
    return time.time()


SCENARIOS: dict[str, Callable[[Watched, RehearsalProcess], float]] = {
    "provider-unavailable": provider_stopped,
    "agent-failure": agent_crashes,
    "workflow-stuck": step_hangs,
    "high-resource-usage": disk_fills,
    "security-alert": secret_written,
}


def ours(scenario: str, disk: Path, listening: Peers) -> float:
    """Seconds from the cause to the page, in a project of its own with stock settings."""
    settings = {
        "alerting": {"rules": {}},
        "monitoring": {**_STOCK, "thresholds": {"stalledSeconds": STALLED_SECONDS, "diskFreePercent": 10}},
        "runtime": {"artifactsDirectory": str(disk)},
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, a_provider(6) as provider:
        providers = {"first": provider_at(provider.url)}
        with a_watched_project(Path(folder) / "p", providers, **settings) as project:
            # The rules of the tests are quicker than ours.
            changed = project.settings
            changed["alerting"] = {"rules": {"cpu-high": {"enabled": False}}}
            project.configure(changed)
            project.serve()
            caused = SCENARIOS[scenario](project, provider)
            listening.exporter.since[scenario] = time.time()
            query = "SELECT 1 FROM incidents WHERE scenario = ?"
            wait_until(lambda: project.rows(query, scenario) and project.pages("INCIDENT"), scenario, 120)
            return time.time() - caused


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("expected root, who may mount a small disk, got another user")
    print("\n## From the cause to the page\n")
    print("| scenario | ours, s | Prometheus and Alertmanager, s | ratio |\n| --- | ---: | ---: | ---: |")
    with peers() as listening, tempfile.TemporaryDirectory() as disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], check=True)
        try:
            seconds = {scenario: ours(scenario, Path(disk), listening) for scenario in SCENARIOS}
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)
        since = listening.exporter.since
        wait_until(lambda: set(since) <= set(listening.heard), "for Alertmanager", 120)
        for scenario, own in seconds.items():
            theirs = listening.heard[scenario] - since[scenario]
            print(f"| {scenario} | {own:.1f} | {theirs:.1f} | {theirs / own:.0f} |")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
