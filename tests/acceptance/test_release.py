"""What is published: the same commit gives the same bytes, and the wheel has all that it needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.patience import patient
from tests.support.project import ROOT

_FILES = ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "tasks.py", ".gitignore")
_AUTHOR = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "2026-03-01T12:00:00Z"}
_COMMITTER = {name.replace("AUTHOR", "COMMITTER"): value for name, value in _AUTHOR.items()}


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(60),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def released(folder: Path, mask: int) -> Path:
    """The folder with what is published, built by a user with this umask."""
    before = os.umask(mask)
    try:
        for name in ("orchestration", "tests"):
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=left_out, copy_function=shutil.copyfile)
        for name in _FILES:
            shutil.copyfile(ROOT / name, folder / name)
        for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "a commit")):
            run(folder, "git", *command, **_AUTHOR, **_COMMITTER)
        run(folder, Path(sys.executable).with_name("invoke"), "release")
    finally:
        os.umask(before)
    return folder / "dist"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("release")
    return released(folder / "one", 0o022), released(folder / "another place", 0o077)


def test_two_people_build_the_same_bytes(published: tuple[Path, Path]) -> None:
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in published)
    assert first == second
    assert sorted(name.rpartition(".")[2] for name in first) == ["SHA256SUMS", "gz", "whl"]


def test_the_checksums_are_those_of_the_archives(published: tuple[Path, Path]) -> None:
    folder = published[0]
    sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    archives = [file for file in folder.iterdir() if file.name != "SHA256SUMS"]
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in archives}


def test_the_wheel_alone_makes_a_project_and_validates_it(published: tuple[Path, Path], tmp_path: Path) -> None:
    (wheel,) = published[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        names = {name for name in archive.namelist() if name.startswith("orchestration/")}
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "orchestration").rglob("*") if path.is_file()}
    assert names == {name for name in ours if "__pycache__" not in name}
    at = {"PYTHONPATH": str(tmp_path / "installed")}
    where = run(tmp_path, sys.executable, "-c", "import orchestration; print(orchestration.__file__)", **at)
    assert where.startswith(str(tmp_path))
    (tmp_path / "project").mkdir()
    for command in (("init", "--provider", "rehearsal"), ("config", "validate")):
        run(tmp_path / "project", sys.executable, "-m", "orchestration", *command, **at)
