"""What a project is built and tested with, as far as its files tell."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# In the list of an agent's commands: those of whatever the workspace is built with.
PROJECT = "@project"
_MOST_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A language's tools: the files that show that a project uses them, the commands that check it and reach nothing
    else, and how its tests are run (None where there are none)."""

    name: str
    markers: tuple[str, ...]
    commands: tuple[str, ...]
    tests: Callable[[Path], tuple[str, ...] | None]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _python(folder: Path) -> tuple[str, ...] | None:
    said = (
        "pyproject.toml",
        "setup.cfg",
        "tox.ini",
        "requirements.txt",
        "requirements-dev.txt",
        "dev-requirements.txt",
    )
    uses_pytest = any((folder / name).exists() for name in ("pytest.ini", "conftest.py", "tests/conftest.py"))
    if uses_pytest or any(re.search(r"\bpytest\b", _text(folder / name)) for name in said):
        return ("python3", "-m", "pytest", "-q")
    tests = any(next(folder.glob(pattern), None) for pattern in ("test*/test*.py", "test*.py"))
    return ("python3", "-m", "unittest") if tests else None


def _node(folder: Path) -> tuple[str, ...] | None:
    try:
        scripts = json.loads(_text(folder / "package.json")).get("scripts", {})
        script = scripts.get("test", "")
    except (ValueError, AttributeError, RecursionError):
        return None
    # What `npm init` writes, which always fails.
    if not isinstance(script, str) or not script or "no test specified" in script:
        return None
    managers = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun"}
    found = next((manager for lock, manager in managers.items() if (folder / lock).exists()), "npm")
    return (found, "test")


def _java(folder: Path) -> tuple[str, ...] | None:
    if (folder / "pom.xml").exists():
        return ("./mvnw" if (folder / "mvnw").exists() else "mvn", "-q", "test")
    return ("./gradlew" if (folder / "gradlew").exists() else "gradle", "test")


def _make(folder: Path) -> tuple[str, ...] | None:
    targets = re.findall(r"^(test|check)\s*:(?!=)", _text(folder / "Makefile"), re.MULTILINE)
    return ("make", targets[0]) if targets else None


TOOLCHAINS = (
    Toolchain(
        "Python",
        ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini", "pytest.ini", "*.py", "tests/*.py"),
        (
            *("python3 -m pytest", "python -m pytest", "pytest", "python3 -m unittest", "python -m unittest"),
            *("ruff check", "ruff format", "mypy"),
        ),
        _python,
    ),
    Toolchain(
        "Node",
        ("package.json",),
        (
            *("npm test", "npm run", "npx tsc", "npx eslint", "npx vitest", "npx jest", "node --test"),
            *("yarn test", "yarn run", "pnpm test", "pnpm run", "bun test"),
        ),
        _node,
    ),
    Toolchain("Go", ("go.mod",), ("go test", "go vet", "go build", "gofmt -l"), lambda _: ("go", "test", "./...")),
    Toolchain(
        "Rust",
        ("Cargo.toml",),
        ("cargo test", "cargo check", "cargo build", "cargo clippy", "cargo fmt"),
        lambda _: ("cargo", "test"),
    ),
    Toolchain(
        "Java",
        ("pom.xml", "build.gradle", "build.gradle.kts"),
        (
            *("mvn test", "mvn -q test", "mvn compile", "./mvnw test", "./mvnw -q test"),
            *("gradle test", "gradle build", "./gradlew test", "./gradlew build"),
        ),
        _java,
    ),
    Toolchain("Make", ("Makefile",), ("make test", "make check", "make lint", "make build"), _make),
)


def toolchains_of(folder: Path) -> tuple[Toolchain, ...]:
    """What the project in a folder is built with."""
    return tuple(one for one in TOOLCHAINS if any(next(folder.glob(marker), None) for marker in one.markers))


def allowed_commands(commands: Sequence[str], folder: Path) -> tuple[str, ...]:
    """An agent's commands, with those of the project in the place of `@project`."""
    return tuple(_expanded(commands, folder))


def _expanded(commands: Iterable[str], folder: Path) -> Iterator[str]:
    for command in commands:
        if command == PROJECT:
            yield from (each for toolchain in toolchains_of(folder) for each in toolchain.commands)
        else:
            yield command


def command_for_tests(folder: Path) -> tuple[str, ...] | None:
    """How the project's tests are run; None if its files do not tell."""
    return next((found for one in toolchains_of(folder) if (found := one.tests(folder)) is not None), None)
