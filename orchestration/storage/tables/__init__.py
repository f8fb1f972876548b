"""The tables of our own, a module for each subject. The durable engine keeps its own beside them."""

from orchestration.storage.tables.access import (
    audit,
    identities,
    kept_answers,
    recovery_codes,
    second_factors,
    sessions,
    sign_in_challenges,
    sign_in_failures,
    tokens,
    users,
)
from orchestration.storage.tables.alerts import (
    alert_groups,
    alert_inbox,
    alerts,
    heartbeat_listening,
    heartbeat_monitors,
    silences,
)
from orchestration.storage.tables.base import UtcDateTime, metadata
from orchestration.storage.tables.calls import call_records, call_texts
from orchestration.storage.tables.drills import drill_runs
from orchestration.storage.tables.incidents import (
    incident_clocks,
    incident_documents,
    incident_entries,
    incident_policies,
    incident_tallies,
    incident_tally_marks,
    incident_timers,
    incidents,
)
from orchestration.storage.tables.maintenance import maintenance_duties, maintenance_jobs, maintenance_runs
from orchestration.storage.tables.notifications import deliveries, message_threads, outbox
from orchestration.storage.tables.oncall import oncall_calendars, oncall_overrides
from orchestration.storage.tables.playbooks import action_runs, guard_trips, playbook_runs
from orchestration.storage.tables.push import push_subscriptions
from orchestration.storage.tables.samples import samples
from orchestration.storage.tables.usage import budget_accounts, budget_marks, budget_reservations, usage_days
from orchestration.storage.tables.views import saved_views
from orchestration.storage.tables.work import (
    approvals,
    artifacts,
    config_versions,
    events,
    heartbeats,
    leases,
    model_responses,
    overrides,
    route_states,
    runs,
    spend,
)

__all__ = [
    "UtcDateTime",
    "action_runs",
    "alert_groups",
    "alert_inbox",
    "alerts",
    "approvals",
    "artifacts",
    "audit",
    "budget_accounts",
    "budget_marks",
    "budget_reservations",
    "call_records",
    "call_texts",
    "config_versions",
    "deliveries",
    "drill_runs",
    "events",
    "guard_trips",
    "heartbeat_listening",
    "heartbeat_monitors",
    "heartbeats",
    "identities",
    "incident_clocks",
    "incident_documents",
    "incident_entries",
    "incident_policies",
    "incident_tallies",
    "incident_tally_marks",
    "incident_timers",
    "incidents",
    "kept_answers",
    "leases",
    "maintenance_duties",
    "maintenance_jobs",
    "maintenance_runs",
    "message_threads",
    "metadata",
    "model_responses",
    "oncall_calendars",
    "oncall_overrides",
    "outbox",
    "overrides",
    "playbook_runs",
    "push_subscriptions",
    "recovery_codes",
    "route_states",
    "runs",
    "samples",
    "saved_views",
    "second_factors",
    "sessions",
    "sign_in_challenges",
    "sign_in_failures",
    "silences",
    "spend",
    "tokens",
    "usage_days",
    "users",
]
