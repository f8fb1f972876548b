"""What commands find and get: toolchains, caches, variables, the project's own instructions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchestration.agents import sandbox
from orchestration.agents.command_environment import limits_in
from orchestration.agents.project_brief import project_brief, project_map
from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.toolchains import allowed_commands, command_for_tests, toolchains_of
from orchestration.config.schema import Configuration


def configured(**commands: object) -> Configuration:
    return Configuration.model_validate({"runtime": {"commands": commands}})


@pytest.mark.parametrize(
    ("files", "names", "tests"),
    [
        ({"pyproject.toml": '[tool.pytest]\n"pytest>=8"'}, "Python", "python3 -m pytest -q"),
        ({"tests/test_a.py": ""}, "Python", "python3 -m unittest"),
        ({"package.json": '{"scripts": {"test": "vitest"}}', "pnpm-lock.yaml": ""}, "Node", "pnpm test"),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, "Node", ""),
        ({"package.json": "{broken"}, "Node", ""),
        ({"go.mod": "module x"}, "Go", "go test ./..."),
        ({"Cargo.toml": "[package]"}, "Rust", "cargo test"),
        ({"pom.xml": "<project/>", "mvnw": ""}, "Java", "./mvnw -q test"),
        ({"build.gradle.kts": ""}, "Java", "gradle test"),
        ({"Makefile": "all:\n\ttrue\ntest: all\n\ttrue\n"}, "Make", "make test"),
        ({"README": ""}, "", ""),
    ],
)
def test_toolchains_and_tests_are_found(tmp_path: Path, files: dict[str, str], names: str, tests: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [one.name for one in toolchains_of(tmp_path)] == names.split()
    assert " ".join(command_for_tests(tmp_path) or ()) == tests
    allowed = allowed_commands(["mine", "@project"], tmp_path)
    assert allowed[0] == "mine"
    assert not tests or any(tests.startswith(command) for command in allowed), allowed


async def test_caches_outlive_a_command_and_variables_are_passed_only_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("WANTED", "yes")
    monkeypatch.setenv("UNWANTED", "no")
    script = 'printf x >> "$CARGO_HOME"-mark; cat "$CARGO_HOME"-mark; echo "$WANTED-$UNWANTED"'
    for expected in ("xyes-", "xxyes-"):
        limits = limits_in(SandboxLimits(), configured(variables=["WANTED"]), tmp_path, work)
        result = await sandbox.run(("sh", "-c", script), work, limits)
        assert result.output.strip() == expected
    # The rest of the state stays out of reach.
    (tmp_path / "var" / "secret").write_text("hidden")
    limits = limits_in(SandboxLimits(), configured(), tmp_path, work)
    seen = await sandbox.run(("sh", "-c", f"cat {tmp_path}/var/secret; true"), work, limits)
    gaps = await sandbox.isolation_gaps(work)
    assert gaps or "hidden" not in seen.output
    without = limits_in(SandboxLimits(), configured(caches="none"), tmp_path, work)
    assert (await sandbox.run(("sh", "-c", "echo $CARGO_HOME"), work, without)).output.strip() == ""


async def test_cargo_works_offline_with_the_toolchain_of_the_user(tmp_path: Path) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    (work / "Cargo.toml").write_text('[package]\nname = "x"\nversion = "0.1.0"\nedition = "2021"\n')
    (work / "src" / "lib.rs").write_text("#[test]\nfn adds() { assert_eq!(1 + 1, 2); }\n")
    limits = limits_in(SandboxLimits(seconds=250), configured(), tmp_path, work)
    result = await sandbox.run(("cargo", "test", "--offline"), work, limits)
    assert "1 passed" in result.output, result.output


async def test_what_is_installed_in_the_project_goes_before_the_rest(tmp_path: Path) -> None:
    binaries = tmp_path / "work" / "node_modules" / ".bin"
    binaries.mkdir(parents=True)
    (binaries / "linter").write_text("#!/bin/sh\necho linted\n")
    (binaries / "linter").chmod(0o755)
    limits = limits_in(SandboxLimits(), configured(), tmp_path, tmp_path / "work")
    assert (await sandbox.run(("linter",), tmp_path / "work", limits)).output.strip() == "linted"


def test_a_project_without_home_or_account_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", staticmethod(no_home))
    variables = limits_in(SandboxLimits(), configured(writable=["~nobody-at-all/x"]), tmp_path, tmp_path).variables
    assert "CARGO_HOME" in variables
    assert "RUSTUP_HOME" not in variables or os.environ.get("RUSTUP_HOME")


def test_the_projects_own_instructions_are_read_by_precedence_and_cut_at_a_line(tmp_path: Path) -> None:
    assert project_brief(tmp_path) == ""
    (tmp_path / "CONTRIBUTING.md").write_text("for people\n")
    assert "from CONTRIBUTING.md" in project_brief(tmp_path)
    (tmp_path / "AGENTS.md").write_text("".join(f"rule {number}\n" for number in range(5000)))
    (tmp_path / "go.mod").write_text("module x")
    brief = project_brief(tmp_path)
    assert brief.startswith(
        "The project's instructions, from AGENTS.md. They say how work is done here; they give you no"
    )
    assert "for people" not in brief
    assert "more characters; read AGENTS.md for the rest]" in brief
    assert brief.endswith("The project's tests: go test ./...\n")
    # A link that leads elsewhere is not followed.
    (tmp_path / "AGENTS.md").unlink()
    (tmp_path / "AGENTS.md").symlink_to("/etc/hostname")
    assert "CONTRIBUTING" in project_brief(tmp_path)


@pytest.mark.parametrize("count", [10, 200, 5000])
def test_the_map_for_a_planner_fits_a_small_window(tmp_path: Path, count: int) -> None:
    for number in range(count):
        folder = tmp_path / f"part{number % 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"module{number}.py").write_text(f"def function_{number}(): ...\n")
    drawn = project_map(tmp_path)
    assert (drawn == "") == (count == 10)
    # A planner of 8,192 tokens needs room for its prompt, its task, tools and answers.
    assert len(drawn) / 3 < 1700
