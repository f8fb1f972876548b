"""Tools that a package offers by an entry point, in an environment in which it is really installed."""

from __future__ import annotations

import json
import sys
import sysconfig
import venv
from pathlib import Path

from tests.support.console import REPOSITORY, ConsoleProject
from tests.support.plugins import blocks, how_to, install

_GROUP = "orchestration.tools"


def environment_with(folder: Path) -> tuple[str, Path]:
    """The interpreter of a new environment, which sees this one's packages, and the folder of its own."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n{REPOSITORY}\n")
    return str(folder / "bin" / "python"), site


def test_the_tool_of_the_how_to_works_in_every_project_of_its_environment(tmp_path: Path) -> None:
    python, site = environment_with(tmp_path / "environment")
    (entry,) = [
        line for text in blocks(how_to("own-tool"), "toml") for line in text.splitlines() if "own_tools:" in line
    ]
    name, _, target = entry.replace('"', "").partition(" = ")
    install(site, _GROUP, "own_tools", blocks(how_to("own-tool"), "python")[0], target, name)
    install(site, _GROUP, "broken_tools", "raise RuntimeError('not today')", "broken_tools:any", "broken")
    project = ConsoleProject(tmp_path / "project")
    project.document |= {"agents": [{"id": "clerk", "tools": [name], "outputs": ["answer.md"]}], "workflow": []}
    project.write()
    goal = f'call {name} {{"city": "Oslo"}}\nWhen is the shop open?'
    command = (python, "-m", "orchestration")
    done = project.call("run", "--json", "--workspace", "work", "--agent", "clerk", goal, command=command)
    assert done.code == 0, done.err
    ((data,),) = project.records("SELECT data FROM events WHERE kind = 'tool_call.finished'")
    called = json.loads(data)
    assert (called["tool"], called["ok"]) == (name, True)
    log = (project.root / "logs" / "orchestrator.log").read_text()
    assert "tool.plugin_broken" in log
    assert "RuntimeError: not today" in log
    assert "E020" in project.call("config", "validate").out, "the tool is known without its package"
