"""The section `monitoring`: what is monitored, and the thresholds over which alerts fire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchestration.config.section import EnvironmentName, LogLevel, PositiveSeconds, Section


class Thresholds(Section):
    """Thresholds from the incident response playbook, over which alerts fire."""

    cpu_percent: Annotated[float, Field(gt=0, le=100)] = 90
    memory_percent: Annotated[float, Field(gt=0, le=100)] = 95
    disk_free_percent: Annotated[float, Field(gt=0, le=100)] = 10
    agent_failure_percent: Annotated[float, Field(gt=0, le=100)] = 50
    # Longer than the longest silence of a sound agent: the wait for a first token.
    stalled_seconds: PositiveSeconds = 120
    # A warm-up is over by then.
    leak_seconds: PositiveSeconds = 600


class CollectorSettings(Section):
    """A collector from an installed package, by its name: whether it runs, how often, and its own options."""

    enabled: bool = True
    seconds: PositiveSeconds | None = None
    options: Annotated[dict[str, Any], Field(default_factory=dict)]


class OpenTelemetrySettings(Section):
    """Where traces, metrics and logs are sent, by OTLP over HTTP. `headersEnv` names a variable with headers, such as
    `Authorization=Bearer …`, with commas between them. It needs the extra `otel`."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] = "http://localhost:4318"
    headers_env: EnvironmentName | None = None


class MonitoringSettings(Section):
    """What is monitored, how often, and how long records are kept. The installed packages are audited against the OSV
    records in `advisories_directory`, one JSON file each.

    While `record_calls` is on, prompts, answers, arguments and outputs of the calls of runs are kept for their pages,
    without secrets, as long as other records.

    Exposed credentials are probed at their vendors until they are refused: first every `credential_probe_seconds`, then
    less and less often.
    """

    metrics: Any = True
    log_level: LogLevel = "INFO"
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    record_calls: bool = True
    thresholds: Thresholds = Thresholds()
    probe_seconds: PositiveSeconds = 15.0
    resource_seconds: PositiveSeconds = 5.0
    integrity_seconds: PositiveSeconds = 600.0
    scan_secrets: bool = True
    scan_seconds: PositiveSeconds = 10.0
    read_status_pages: bool = True
    status_page_seconds: PositiveSeconds = 300.0
    probe_credentials: bool = True
    credential_probe_seconds: PositiveSeconds = 60.0
    audit_dependencies: bool = True
    audit_seconds: PositiveSeconds = 6 * 3600.0
    advisories_directory: str = "var/advisories"
    # OSV's export of all Python packages, or a mirror of it: https://google.github.io/osv.dev/data/#data-dumps
    advisories_url: str = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
    # Below the shortest period that common dead man's switch services accept, with room for a lost request.
    dead_man_seconds: PositiveSeconds = 60.0
    open_telemetry: OpenTelemetrySettings | None = None
    collectors: Annotated[dict[str, CollectorSettings], Field(default_factory=dict)]
