"""Clients of the gateway endpoint, as applications have them: in an environment of their own under `var/clients`.

They need other versions of shared libraries than we do. It is made on first use, which takes the network and some
twenty seconds; `ORCHESTRATOR_TEST_OPENAI` names the Python of one that is there already.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import venv
from pathlib import Path

import pytest

from tests.support.patience import patient
from tests.support.project import ROOT

REQUIREMENTS = ("openai>=3,<4", "pydantic-ai-slim[openai]>=2,<3", "anthropic>=2,<3", "ollama>=0.6,<1")
_FOLDER = ROOT / "var" / "clients"
_IMPORTS = "import anthropic, ollama, openai, pydantic_ai.models.openai"


def python_with_clients() -> Path:
    """The Python that has them; skips the test, and says so, where there is none and none can be made."""
    named = os.environ.get("ORCHESTRATOR_TEST_OPENAI")
    python = Path(named) if named else _made()
    done = subprocess.run([python, "-W", "ignore", "-c", _IMPORTS], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"THE ENDPOINT WAS NOT TRIED WITH REAL CLIENTS: {python} lacks one: {done.stderr[-300:]}")
    return python


def _made() -> Path:
    """Make the environment, unless it is there; tests that run at the same time wait for each other."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    python, stamp, wanted = _FOLDER / "env" / "bin" / "python", _FOLDER / "installed", "\n".join(REQUIREMENTS)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted and python.exists()):
            _install(python)
            stamp.write_text(wanted)
    return python


def _install(python: Path) -> None:
    options = ("--quiet", "--no-compile", "--disable-pip-version-check", "--retries", "1", "--timeout", "10")
    try:
        venv.create(_FOLDER / "env", clear=True, with_pip=True)
        command = [python, "-m", "pip", "install", *options, *REQUIREMENTS]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=patient(90))
    except (OSError, subprocess.SubprocessError) as error:
        detail = str(getattr(error, "stderr", None) or error)[-300:]
        pytest.skip(f"THE ENDPOINT WAS NOT TRIED WITH REAL CLIENTS: they cannot be installed: {detail}")
