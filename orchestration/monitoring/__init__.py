"""Health checks and collectors: they look and listen, and turn what they see into signals.

`Monitoring` puts everything together; `docs/reference/signals.md` lists what comes out of it.
"""

from orchestration.monitoring.assembly import Monitoring, MonitoringContext
from orchestration.monitoring.health.diagnosis import IncidentDiagnosis

__all__ = ["IncidentDiagnosis", "Monitoring", "MonitoringContext"]
