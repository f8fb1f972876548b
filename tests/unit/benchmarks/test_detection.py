from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

from benchmarks.detection import SCENARIOS, Exporter, stock, told_of
from benchmarks.hook import a_hook
from orchestration.config.monitoring import MonitoringSettings
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.drills.project import configuration
from orchestration.drills.setup import DrillSetting


def test_a_median_is_told_with_its_range() -> None:
    assert told_of([3.04]) == "3.0"
    assert told_of([9.0, 1.0, 2.0]) == "2.0 (1.0–9.0)"


def test_each_of_the_five_scenarios_is_caused() -> None:
    outside = {Scenario.CONTROL_PLANE, Scenario.EXTERNAL_ALERT}
    assert set(SCENARIOS) == {one.value for one in Scenario if one not in outside}


def test_the_project_that_is_measured_keeps_to_what_is_shipped() -> None:
    setting = DrillSetting(providers=("first",))
    found = Configuration.model_validate(stock(configuration(setting, {"first": "http://127.0.0.1:1"}), "http://h"))
    shipped = MonitoringSettings()
    for name in ("probe_seconds", "resource_seconds", "scan_seconds"):
        assert getattr(found.monitoring, name) == getattr(shipped, name)
    assert set(found.alerting.rules) == {"cpu-high"}
    assert [one.id for one in found.response.contacts] == ["ada"]


def test_the_gauges_of_the_troubles_are_read_as_prometheus_reads_them() -> None:
    exporter = Exporter()
    try:
        exporter.since["agent-failure/1"] = 1.0
        with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as answer:
            assert answer.read().decode().splitlines()[1:] == ['trouble{trouble="agent-failure/1"} 1']
    finally:
        exporter.server.shutdown()
        exporter.server.server_close()


def test_the_hook_keeps_what_came_and_when() -> None:
    with a_hook() as hook:
        request = urllib.request.Request(hook.url, json.dumps({"alerts": []}).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        ((at, body),) = hook.received
    assert (at > 0, body) == (True, {"alerts": []})


def test_it_depends_on_no_test() -> None:
    code = "import sys, benchmarks.detection; sys.exit(any(name.split('.')[0] == 'tests' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
