"""A process of its own that runs a command in the sandbox, to be killed by the test."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestration.agents import sandbox
from orchestration.agents.sandbox import SandboxLimits

folder, script = Path(sys.argv[1]), sys.argv[2]
asyncio.run(sandbox.run((sys.executable, "-c", script, str(folder)), folder, SandboxLimits()))
