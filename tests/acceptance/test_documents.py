"""What the documents say is so: generated pages are current, links lead somewhere, and the commands work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import prefork
from tests.support.patience import patient
from tests.support.project import ROOT
from tests.support.reference_pages import PAGES

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

# A block of commands that is to be run says so in front; those of one document run one after the other in one project.
_RUN = re.compile(r"<!-- run -->\n```console\n(.*?)```", re.DOTALL)
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
# A document that needs a framework is followed where that is installed.
_NEEDS = re.compile(r"<!-- needs: (\S+) -->")
_IN_A_LIST = re.compile(r"^   <!-- run -->", re.MULTILINE)
_INDENT = re.compile(r"^   ", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")

TO_RUN = [document for document in DOCUMENTS if "<!-- run -->" in document.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_is_written_from_the_code_is_current(page: Path) -> None:
    make: Callable[[], str] = PAGES[page]
    assert page.read_text(encoding="utf-8") == make(), "write it anew with `python -m tests.support.reference_pages`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    links = [link for link in _LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", TO_RUN, ids=lambda path: path.name)
def test_the_commands_of_a_document_work(document: Path, tmp_path: Path) -> None:
    text = document.read_text(encoding="utf-8")
    if _IN_A_LIST.search(text):
        text = _INDENT.sub("", text)
    project = tmp_path / "project"
    shutil.copytree(ROOT / "config", project / "config")
    for framework in _NEEDS.findall(text):
        _link_environment(project, framework)
    for name, content in _FILE.findall(text):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for block in _RUN.findall(text):
        for command, expected in commands_of(block):
            words = typed(command)
            done = prefork.call(words, cwd=project, env=environment(tmp_path), seconds=patient(60))
            said = done.stdout.decode()
            assert done.returncode == 0, f"{command}\n{said}{done.stderr.decode()}"
            missing = [line for line in expected if line not in said]
            assert missing == [], f"{command}\n{said}"


def _link_environment(project: Path, framework: str) -> None:
    """Use the environment of this checkout: installing one takes minutes, and the network."""
    installed = ROOT / "var" / "frameworks" / framework
    if not (installed / "installed.txt").exists():
        pytest.skip(f"NOT FOLLOWED: install {framework} with `orchestrator agents install {framework}` in {ROOT}")
    (project / "var" / "frameworks").mkdir(parents=True)
    (project / "var").chmod(0o700)
    (project / "var" / "frameworks" / framework).symlink_to(installed)


def typed(command: str) -> list[str]:
    """What a shell makes of a command; one of ours that needs no shell is begun without it, which is quicker."""
    program, *words = shlex.split(command) if not re.search(r"[|&;<>$`*?#=]", command) else ["bash"]
    return [sys.executable, "-m", "orchestration", *words] if program == "orchestrator" else ["bash", "-c", command]


def commands_of(block: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines that stand below it; a line with figures, which differ each time, is not compared."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line.strip() and not re.search(r"\d|…", line):
            commands[-1][1].append(line.strip())
    return commands


def environment(folder: Path) -> dict[str, str]:
    """One in which `orchestrator` and `python` are these, and no setting of the machine counts."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, words in (("orchestrator", "-m orchestration "), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        program.chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
