"""Health checks of this machine and this project, with advice for each problem.

Nothing is changed, and a failing check does not prevent the others.
"""

from orchestration.app.doctor.diagnosis import CheckResult, CheckStatus
from orchestration.app.doctor.examination import examine

__all__ = ["CheckResult", "CheckStatus", "examine"]
