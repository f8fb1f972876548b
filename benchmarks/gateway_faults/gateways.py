"""The gateways under test, each as its makers ship it: in an environment of its own, at its stock settings."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.__main__ import ENVIRONMENT, OURS
from benchmarks.endpoint import free_port
from benchmarks.endpoint import running as running_process

SECONDARY_KEY = "secondary"
PORTKEY = "@portkey-ai/gateway"
# The server library that npm picks by itself (1.19) makes every stream of this version a 500.
_PORTKEY_PACKAGE = {
    "dependencies": {PORTKEY: "^1.15.2"},
    "overrides": {"@hono/node-server": "1.13.7"},
}

# For a behaviour, and whether it is to be the only provider: the headers of a request and the model that it names.
Address = Callable[[str, bool], tuple[dict[str, str], str]]


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that answers at `url`."""

    name: str
    url: str
    _address: Address

    def address(self, key: str, *, sole: bool) -> tuple[dict[str, str], str]:
        return self._address(key, sole)


Start = Callable[[int, Sequence[str]], AbstractContextManager[RunningGateway]]


@contextmanager
def ours(upstream: int, keys: Sequence[str]) -> Iterator[RunningGateway]:
    """`orchestrator serve`; hedges are asked for by a header, as everything else is stock."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config", "agents.config.json")
        file.parent.mkdir()
        sections = {
            key: {"type": "openai", "baseUrl": f"http://127.0.0.1:{upstream}/{key}/v1", "defaultModel": "m"}
            for key in (*keys, SECONDARY_KEY)
        }
        file.write_text(json.dumps({"runtime": {"defaultProvider": SECONDARY_KEY, **sections}, "agents": []}))
        command = [OURS, "-m", "orchestration"]
        made = subprocess.run([*command, "tokens", "create", "benchmark", "--gateway"], cwd=folder, env=ENVIRONMENT,
                              capture_output=True, text=True, check=True)  # fmt: skip
        token, port = made.stdout.strip(), free_port()

        def address(key: str, sole: bool) -> tuple[dict[str, str], str]:
            headers = {"authorization": f"Bearer {token}", "x-orchestrator-hedge": "true"}
            return headers | ({"x-orchestrator-only": "true"} if sole else {}), f"{key}/m"

        with running_process([*command, "serve", "--workers", "0", "--port", str(port)], folder, port, "/healthz"):
            yield RunningGateway("orchestrator serve", f"http://127.0.0.1:{port}/v1/chat/completions", address)


@contextmanager
def litellm(upstream: int, keys: Sequence[str]) -> Iterator[RunningGateway]:
    """LiteLLM's proxy: each behaviour as a model with a fallback, and as one without."""
    python = peers.python_of("litellm-proxy")
    assert python is not None
    with tempfile.TemporaryDirectory() as folder:

        def model(name: str, key: str) -> dict[str, object]:
            base = f"http://127.0.0.1:{upstream}/{key}/v1"
            return {"model_name": name, "litellm_params": {"model": "openai/m", "api_base": base, "api_key": "none"}}

        models = [model(key, key) for key in (*keys, SECONDARY_KEY)] + [model(f"{key}-sole", key) for key in keys]
        fallbacks = [{key: [SECONDARY_KEY]} for key in keys]
        settings = {"model_list": models, "router_settings": {"fallbacks": fallbacks}}
        Path(folder, "config.yaml").write_text(json.dumps(settings))
        port, master = free_port(), f"sk-{secrets.token_hex(32)}"
        command = [str(python.with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1"]

        def address(key: str, sole: bool) -> tuple[dict[str, str], str]:
            return {"authorization": f"Bearer {master}"}, f"{key}-sole" if sole else key

        with running_process([*command, "--port", str(port)], folder, port, "/health/liveliness",
                             LITELLM_MASTER_KEY=master):  # fmt: skip
            name = f"LiteLLM proxy {peers.version_of('litellm-proxy')}"
            yield RunningGateway(name, f"http://127.0.0.1:{port}/v1/chat/completions", address)


@contextmanager
def portkey(upstream: int, _keys: Sequence[str]) -> Iterator[RunningGateway]:
    """Portkey's gateway: the providers and the fallback are in a header of each request."""
    folder = peers.FOLDER / "portkey"
    package = folder / "node_modules" / PORTKEY

    def target(key: str) -> dict[str, object]:
        host = f"http://127.0.0.1:{upstream}/{key}/v1"
        return {"provider": "openai", "api_key": "none", "custom_host": host}

    def address(key: str, sole: bool) -> tuple[dict[str, str], str]:
        both = [target(key), target(SECONDARY_KEY)]
        config = target(key) if sole else {"strategy": {"mode": "fallback"}, "targets": both}
        return {"x-portkey-config": json.dumps(config)}, "m"

    port = free_port()
    command = ["node", str(package / "build" / "start-server.js"), f"--port={port}", "--headless"]
    version = json.loads((package / "package.json").read_text())["version"]
    with running_process(command, str(folder), port, "/"):
        yield RunningGateway(f"Portkey gateway {version}", f"http://127.0.0.1:{port}/v1/chat/completions", address)


def has_portkey() -> bool:
    """Whether Portkey's gateway is installed; it is, on first use, where npm and the network are there."""
    folder = peers.FOLDER / "portkey"
    if not (folder / "node_modules" / PORTKEY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps(_PORTKEY_PACKAGE))
        command = ["npm", "install", "--silent", "--legacy-peer-deps"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, cwd=folder, check=True, timeout=600)
    found = (folder / "node_modules" / PORTKEY).exists()
    if not found:
        print(f"benchmarks: SKIPPED {PORTKEY}: it cannot be installed", file=sys.stderr)
    return found
