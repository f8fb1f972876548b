"""`python -m orchestration.rehearsal`: the rehearsal provider as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from orchestration.errors import OrchestratorError
from orchestration.rehearsal.server import RehearsalServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the address is the only line on standard output."""
    options = _read_options(arguments)
    try:
        asyncio.run(_serve(options.port, options.latency_ms / 1000))
    except OrchestratorError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m orchestration.rehearsal", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 for any free one")
    parser.add_argument("--latency-ms", type=float, default=5.0, help="between two pieces of a stream")
    return parser.parse_args(arguments)


async def _serve(port: int, latency: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopped.set)
    async with RehearsalServer(port=port, latency=latency) as server:
        sys.stdout.write(f"{server.url}\n")
        # Output to a pipe or a file is buffered in blocks, and the parent process waits for this line.
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
