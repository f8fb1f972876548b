"""Examining this machine and this project: what is in order, what is not, and what to do about it.

Nothing is changed, and nothing that is broken keeps the rest from being examined.
"""

from orchestration.app.doctor.diagnosis import CheckResult, CheckStatus
from orchestration.app.doctor.examination import examine

__all__ = ["CheckResult", "CheckStatus", "examine"]
