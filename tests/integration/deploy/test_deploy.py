"""What lies in `deploy/` fits the program, and the tools that would read it find nothing wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from orchestration import metrics
from orchestration.cli import cli
from orchestration.config.alerting import IntakeSettings
from orchestration.domain.origin import ORIGIN
from tests.support.project import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "orchestrator.json"
UNIT = DEPLOY / "systemd" / "orchestrator.service"
KNOWN = {f"orchestration_{one.name}": one for one in metrics.INSTRUMENTS}
_METRIC = re.compile(r"(orchestration_\w+?)(_bucket|_sum|_count)?(?:\{([^}]*)\})?(?![\w])")
_MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard_targets() -> list[dict[str, Any]]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target for panel in panels for target in panel.get("targets", ())]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for target in dashboard_targets())


def test_every_metric_and_label_that_is_asked_for_exists() -> None:
    seen = set()
    for expression in expressions():
        for name, part, matchers in _METRIC.findall(expression):
            assert name in KNOWN, f"{name} in {expression}"
            assert (KNOWN[name].kind.__name__ == "Histogram") == bool(part), expression
            for label, _, value in _MATCHER.findall(matchers):
                assert label in KNOWN[name].labels, expression
                assert set(value.split("|")) <= set(metrics.LABELS[label]), expression
            seen.add(name)
    assert len(seen) > 20


def test_what_a_panel_or_an_alert_is_split_by_are_labels_of_its_metric() -> None:
    for expression in expressions():
        (labels, *_) = [{*KNOWN[name].labels, "le"} for name, _, _ in _METRIC.findall(expression)] or [{"job"}]
        for split in re.findall(r"by \(([^)]*)\)", expression):
            assert {one.strip() for one in split.split(",")} <= labels, expression
    for target in dashboard_targets():
        used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        split = ",".join(re.findall(r"by \(([^)]*)\)", target["expr"]))
        assert used <= {one.strip() for one in split.split(",")} | {"resource", "instance"}, target


def test_the_dashboard_has_no_two_panels_in_one_place_and_shows_every_metric_but_few() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    shown = {name for target in dashboard_targets() for name, _, _ in _METRIC.findall(target["expr"])}
    hidden = {"agent_retries_total", "model_calls_total", "tool_call_seconds", "route_changes_total"}
    assert set(KNOWN) - shown == {f"orchestration_{name}" for name in hidden}


def test_an_alert_says_how_bad_it_is_in_a_word_that_our_intake_knows_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert IntakeSettings(unknown_severity="P3").severity(rule["labels"]["severity"]).value < "P3", rule["alert"]
        assert rule["annotations"]["description"]


def test_only_what_the_system_cannot_say_itself_is_no_echo_of_it() -> None:
    own = {"origin": ORIGIN, "doubles": "own-monitoring"}
    echoes = {rule["alert"]: {name: rule["labels"].get(name) for name in own} == own for rule in rules()}
    assert {name for name, echo in echoes.items() if not echo} == {
        *("OrchestratorDown", "OrchestratorBlind", "OrchestratorPagesFail")
    }


def test_every_command_that_an_alert_names_exists() -> None:
    named = re.findall(r"`orchestrator ([a-z -]+)`", RULES.read_text(encoding="utf-8"))
    assert len(named) > 8
    for line in named:
        find(line.split())


def find(words: Sequence[str]) -> None:
    """Follow the words from command to command; raises for one that is not there."""
    command: click.Command = cli
    for number, word in enumerate(words):
        if not isinstance(command, click.Group):
            options = {option for parameter in command.params for option in parameter.opts}
            assert all(each in options for each in words[number:] if each.startswith("--")), words
            return
        found = command.get_command(click.Context(command), word)
        assert found is not None, words
        command = found
    assert not isinstance(command, click.Group), words


def promtool(*arguments: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("NOT TESTED: promtool is missing; apt-get install prometheus")
    done = subprocess.run([tool, *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES.name)


def test_the_rules_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts.test.yml")


def test_promtool_finds_nothing_wrong_with_the_configuration(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(RULES.with_name(name), tmp_path)
    (tmp_path / "orchestrator.token").touch()
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    # A rule is the one place where promtool reads a query.
    group = [
        {"record": f"panel:number:{number}", "expr": one["expr"]} for number, one in enumerate(dashboard_targets())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": group}]}))
    promtool("check", "rules", str(file))


def analyze(*arguments: str) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("NOT TESTED: systemd-analyze is missing; apt-get install systemd")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unknown" not in done.stderr, done.stderr


def test_systemd_understands_the_unit_and_finds_it_well_locked_up(tmp_path: Path) -> None:
    unit = tmp_path / "orchestrator.service"
    # Where the program is, it has to be: on this machine that is elsewhere.
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/orchestrator/bin/orchestrator", "/bin/true"))
    analyze("verify", str(unit))
    analyze("security", "--offline=true", "--threshold=20", str(unit))


def test_the_unit_and_the_container_start_a_command_that_there_is() -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    find(start.split()[1:])
    container = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", container, re.MULTILINE)
    find(json.loads(command))


def test_the_container_runs_as_nobody_special_and_takes_in_no_secret() -> None:
    container = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", container, re.MULTILINE) == ["orchestrator"]
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", container, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
    ignored = (DEPLOY / "container" / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "**"
    assert not [line for line in ignored if line.startswith("!.env") or line == "!."]
