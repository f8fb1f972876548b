"""The log: `logs/orchestrator.log` for people and `tail -f`, `logs/orchestrator.jsonl` beside it for programs."""

from orchestration.logs.events import log_event
from orchestration.logs.setup import Logger, Logging, configure, get_logger

__all__ = ["Logger", "Logging", "configure", "get_logger", "log_event"]
