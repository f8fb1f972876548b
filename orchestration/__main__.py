"""The console command `orchestrator`."""

from orchestration.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
