"""What a command gets besides its workspace: isolation, variables that are passed on, and caches that outlive it.

A command has a home folder of its own, in which package managers would find nothing that they have fetched before. So
each of them is shown a cache below our state, and where it can read a second one, the user's, which stays read-only:
what an agent's command could write there would be executed by the user's next build.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestration.agents.isolation_policy import isolation_for
from orchestration.agents.sandbox import SandboxLimits
from orchestration.config.schema import Configuration
from orchestration.config.usage_limits import UsageLimits
from orchestration.private_folder import make_private_folder

CACHES = "caches"
# https://doc.rust-lang.org/cargo/reference/environment-variables.html, https://go.dev/ref/mod#environment-variables,
# https://docs.npmjs.com/cli/using-npm/config#cache, https://pip.pypa.io/en/stable/topics/caching/,
# https://docs.astral.sh/uv/concepts/cache/, https://docs.gradle.org/current/userguide/directory_layout.html
_FOLDERS = {
    "CARGO_HOME": "cargo",
    "GOPATH": "go",
    "GOCACHE": "go-build",
    "npm_config_cache": "npm",
    "YARN_CACHE_FOLDER": "yarn",
    "PIP_CACHE_DIR": "pip",
    "UV_CACHE_DIR": "uv",
    "GRADLE_USER_HOME": "gradle",
}
_BINARIES = (".venv/bin", "venv/bin", "node_modules/.bin")
_LEAST_SECONDS = 0.1


def limits_of(limits: UsageLimits, seconds: float) -> SandboxLimits:
    """The limits of a command of an agent that has these, and so much time."""
    usual = SandboxLimits()
    return SandboxLimits(
        seconds=max(_LEAST_SECONDS, seconds),
        memory_mb=limits.memory_mb or usual.memory_mb,
        cpu_seconds=limits.cpu_seconds or usual.cpu_seconds,
        output_bytes=limits.output_bytes or usual.output_bytes,
        disk_bytes=limits.disk_mb * 1_048_576 if limits.disk_mb else usual.disk_bytes,
        files=limits.files or usual.files,
    )


def limits_in(limits: SandboxLimits, configuration: Configuration, project: Path, folder: Path) -> SandboxLimits:
    """The limits of a command in a folder, with everything else that the configuration gives it."""
    settings = configuration.runtime.commands
    caches = (project / configuration.runtime.state_directory / CACHES).resolve()
    isolation = isolation_for(configuration, project, folder)
    variables = _own(folder)
    if settings.caches == "shared":
        make_private_folder(caches)
        variables |= _cached(caches, _home())
        if isolation is not None:
            isolation = replace(isolation, writable=(*isolation.writable, caches))
    variables |= {name: os.environ[name] for name in settings.variables if name in os.environ}
    return replace(limits, isolation=isolation, variables=variables)


def _own(folder: Path) -> dict[str, str]:
    """Variables with which tools that are installed in the project are found, and test its own code before a copy that
    is installed elsewhere."""
    binaries = [str(folder / name) for name in _BINARIES if (folder / name).is_dir()]
    found = {"PATH": os.pathsep.join([*binaries, os.environ.get("PATH", os.defpath)])} if binaries else {}
    if any((folder / name).is_symlink() for name in (".venv", "venv")):
        # Installed in the user's tree for development, the project would be imported from there.
        found["PYTHONPATH"] = os.pathsep.join([str(folder / "src"), str(folder)])
    return found


def _cached(caches: Path, home: Path | None) -> dict[str, str]:
    variables = {name: str(caches / folder) for name, folder in _FOLDERS.items()}
    maven = [f"-Dmaven.repo.local={caches / 'maven'}"]
    if home is not None:
        variables |= _of_the_user(home)
        if (repository := home / ".m2" / "repository").is_dir():
            # A second repository that is only read: https://maven.apache.org/resolver/local-repository.html
            maven.append(f"-Dmaven.repo.local.tail={repository}")
    return {**variables, "MAVEN_ARGS": " ".join(maven)}


def _of_the_user(home: Path) -> Mapping[str, str]:
    """What can be read from the user's own caches."""
    found = {}
    if (toolchains := Path(os.environ.get("RUSTUP_HOME") or home / ".rustup")).is_dir():
        found["RUSTUP_HOME"] = str(toolchains)
    downloads = Path(os.environ.get("GOMODCACHE") or home / "go" / "pkg" / "mod") / "cache" / "download"
    if downloads.is_dir():
        # What was downloaded is laid out as a proxy would serve it: https://go.dev/ref/mod#module-cache
        found["GOPROXY"] = f"{downloads.as_uri()},{os.environ.get('GOPROXY', 'https://proxy.golang.org,direct')}"
    if (gradle := home / ".gradle" / "caches" / "modules-2").is_dir():
        # https://docs.gradle.org/current/userguide/dependency_caching.html#sec:shared-readonly-cache
        found["GRADLE_RO_DEP_CACHE"] = str(gradle.parent)
    return found


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME and no account, as in some containers
        return None
