"""Git repositories for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, given: bytes | None = None) -> str:
    """What a git command prints."""
    done = subprocess.run(("git", *arguments), cwd=folder, check=True, capture_output=True, input=given)
    return done.stdout.decode("utf-8", "replace")


def make_repository(folder: Path, **files: str) -> Path:
    """A repository with one commit; in the names of files, `__` stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.email", "dev@example.com")
    git(folder, "config", "user.name", "Dev")
    for name, text in (files or {"app__py": "one\ntwo\nthree\nfour\nfive\n"}).items():
        (folder / name.replace("__", ".")).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder
