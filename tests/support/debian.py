"""The programs the tests run for real, from Debian's packages: `python -m tests.support.debian`, before the tests.

Where they cannot be installed (no Debian, no root) nothing fails here: the tests that need one skip, and say which.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_PROGRAMS = {
    "postgresql": "/usr/lib/postgresql/*/bin/postgres",
    "prometheus": "/usr/bin/prometheus",
    "prometheus-alertmanager": "/usr/bin/prometheus-alertmanager",
    "chromium-headless-shell": "/usr/bin/chromium-headless-shell",
    "chromium": "/usr/bin/chromium",
}
_APT = ("apt-get", "--quiet=2", "-o", "DPkg::Lock::Timeout=300")
# With this run level no package starts a service of its own.
_QUIET = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def main() -> None:
    """Install what is missing, if that can be done here."""
    wanted = [package for package, program in _PROGRAMS.items() if not any(Path("/").glob(program.lstrip("/")))]
    if not wanted:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"tests: some will be skipped; as root on Debian: apt-get install {' '.join(wanted)}", file=sys.stderr)
        return
    print(f"tests: installing {', '.join(wanted)} (once)", file=sys.stderr)
    _apt("update")
    # All at once is quicker; where one cannot be had, the others can.
    if not _install(*wanted):
        for package in wanted:
            _install(package)


def _install(*packages: str) -> bool:
    return _apt("install", "--yes", "--no-install-recommends", *packages)


def _apt(*arguments: str) -> bool:
    done = subprocess.run([*_APT, *arguments], env=_QUIET, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"tests: apt-get {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}", file=sys.stderr)
    return not done.returncode


if __name__ == "__main__":
    main()
