"""The peers that we are measured against, each in a virtual environment of its own under `var/peers`.

They need other versions of shared libraries than we and than each other. Made on first use, which takes the network.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "var" / "peers"

# What each peer's environment holds; the majors that the contenders were written for.
REQUIREMENTS = {
    "pydantic-ai": ("pydantic-ai-slim[openai]>=2,<3",),
    "pydantic-ai-dbos": ("pydantic-ai-slim[openai,dbos]>=2,<3",),
    "crewai": ("crewai[tools]>=1.15,<2",),
    "litellm": ("litellm>=1.100,<2",),
    "litellm-proxy": ("litellm[proxy]>=1.100,<2",),
    "langgraph": (
        "langgraph>=1.2,<2",
        "langgraph-checkpoint-sqlite>=3,<4",
        "langchain-openai>=1,<2",
        "langchain-community>=0.4,<1",
    ),
    "detect-secrets": ("detect-secrets>=1.5,<2",),
    "langgraph-agent": ("langgraph>=1.2,<2", "langchain>=1,<2", "langchain-openai>=1,<2"),
}


@functools.cache
def python_of(peer: str) -> Path | None:
    """The interpreter of a peer's environment; None, said on standard error, when it cannot be installed."""
    folder = FOLDER / peer
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(REQUIREMENTS[peer])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"benchmarks: installing {peer} into {folder} (once)", file=sys.stderr)
    try:
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[peer]]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        print(f"benchmarks: SKIPPED {peer}: it cannot be installed: {str(detail)[-500:]}", file=sys.stderr)
        return None
    stamp.write_text(wanted)
    return python


@functools.cache
def version_of(peer: str, package: str = "") -> str:
    """The version that was installed, of the peer itself or of a package beside it."""
    name = package or REQUIREMENTS[peer][0].partition(">")[0].partition("[")[0]
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([python_of(peer) or sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"
