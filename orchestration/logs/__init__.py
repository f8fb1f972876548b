"""The log: `logs/orchestrator.log` for people and `tail -f`, `logs/orchestrator.jsonl` beside it for programs."""

from orchestration.logs.events import log_event
from orchestration.logs.repeated_failure import RepeatedFailure
from orchestration.logs.setup import Logger, Logging, configure, get_logger

__all__ = ["Logger", "Logging", "RepeatedFailure", "configure", "get_logger", "log_event"]
