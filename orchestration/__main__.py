"""The console command `orchestrator`."""

from __future__ import annotations

from orchestration import cli
from orchestration.memory import collect_less_often


def main() -> None:
    """Run the console command."""
    collect_less_often()
    cli.main()


if __name__ == "__main__":
    main()
