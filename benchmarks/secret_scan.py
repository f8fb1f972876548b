"""`python -m benchmarks.secret_scan [SEED]`: recall, noise and speed of finding secrets, beside detect-secrets.

The secrets and the harmless texts are made after the vendors' documentation, from a seed
(`tests/support/secret_corpus.py`); a secret counts as found if anything is found in its text, which holds nothing else.
Noise is what is found in texts without secrets. Every text is a file of its own.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.arguments import arguments
from tests.support.secret_corpus import assignments, bare_tokens, harmless_texts, named_values

ROOT = Path(__file__).resolve().parent.parent
_GROUPS = {"tokens of vendors": bare_tokens, "beside a vendor's name": named_values, "notations": assignments}
_SITE_PACKAGES_BYTES = 10_000_000
_OURS = "orchestrator"
_PEER = "detect-secrets"

Result = dict[str, Any]


def main(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = [
            *(("recall", *one) for one in _recall(root, seed)),
            (
                "noise",
                "generated",
                _write(root / "generated", (text for _, text in harmless_texts(random.Random(seed)))),
            ),
            ("noise", "site-packages", _write(root / "site-packages", _site_packages(seed))),
        ]
        contenders = {_OURS: sys.executable}
        if (python := peers.python_of(_PEER)) is not None:
            contenders[f"{_PEER} {peers.version_of(_PEER)}"] = str(python)
        print(f"seed {seed}\n\n| | {' | '.join(contenders)} |\n| --- | {' | '.join('---:' for _ in contenders)} |")
        for what, name, size in rows:
            results = [_run(title, python, root / name) for title, python in contenders.items()]
            for title, cells in _cells(what, name, size, results):
                print(f"| {title} | {' | '.join(cells)} |", flush=True)


def _recall(root: Path, seed: int) -> Iterator[tuple[str, int]]:
    for name, group in _GROUPS.items():
        yield name, _write(root / name, (sample.text for sample in group(random.Random(seed))))


def _write(folder: Path, texts: Iterator[str]) -> int:
    """Write each text to a file of its own; returns their size in characters."""
    folder.mkdir()
    size = 0
    for number, text in enumerate(texts):
        (folder / f"{number:05}.txt").write_text(text, encoding="utf-8")
        size += len(text)
    return size


def _site_packages(seed: int) -> Iterator[str]:
    files = sorted(path for path in Path(sysconfig.get_paths()["purelib"]).rglob("*") if path.suffix in {".py", ".md"})
    random.Random(seed).shuffle(files)
    size = 0
    for path in files:
        if size > _SITE_PACKAGES_BYTES:
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        size += len(text)
        yield text


def _run(title: str, python: str, folder: Path) -> Result:
    name = "secrets_ours" if title == _OURS else "secrets_detect"
    command = [python, "-m", f"benchmarks.contenders.{name}", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _cells(what: str, name: str, size: int, results: list[Result]) -> Iterator[tuple[str, list[str]]]:
    if what == "recall":
        found = [sum(count > 0 for count in result["found"].values()) / len(result["found"]) for result in results]
        yield f"{name}: found of {len(results[0]['found']):,}", [f"{share:.1%}" for share in found]
        return
    megabytes = size / 1e6
    yield f"{name}: findings per MB", [f"{sum(one['found'].values()) / megabytes:,.1f}" for one in results]
    yield f"{name}: MB per second of processor time", [f"{megabytes / one['cpu_s']:.1f}" for one in results]


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("seed", nargs="?", type=int, default=random.SystemRandom().getrandbits(32))
    main(parser.parse_args().seed)
