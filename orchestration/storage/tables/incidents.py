"""Tables of incidents.

`incidents` is narrow, for lists and statistics; the rest of an incident is one document in `incident_documents`.
Durations are stored as seconds, so that figures can be read from an index alone. `incident_tallies` holds sums of whole
days and months, and `incident_tally_marks` says which of them are outdated.
"""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

incidents = sa.Table(
    "incidents",
    metadata,
    id_column(),
    sa.Column("reversed_id", sa.String(64), nullable=False),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("scenario", sa.String(32), nullable=False),
    sa.Column("severity", sa.String(2), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("drill", sa.Boolean, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("assignee", sa.String(64)),
    sa.Column("acknowledged_by", sa.String(128), nullable=False),
    sa.Column("open_actions", sa.Integer, nullable=False),
    sa.Column("detected_at", UtcDateTime, nullable=False),
    sa.Column("resolved_at", UtcDateTime),
    sa.Column("counted", sa.Boolean, nullable=False),
    # Stored, because the two databases have no common function that formats a time, and to be read from the index.
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("seconds_to_detect", sa.Float),
    sa.Column("seconds_to_acknowledge", sa.Float),
    sa.Column("seconds_to_automation", sa.Float),
    sa.Column("seconds_to_resolve", sa.Float),
    sa.Column("seconds_of_impact", sa.Float),
    sa.Column("recurred", sa.Boolean, nullable=False),
    # A value of IncidentEnd, or `unknown`; NULL for one that has not ended, and for rows of earlier releases.
    sa.Column("ended_by", sa.String(16)),
    # Compared and raised by every change: of two that started from the same version, one has to be repeated.
    sa.Column("version", sa.Integer, nullable=False),
    # At most one incident of a key is open. Two processes that report at the same time are decided here: the second
    # insert fails, and its report joins the incident of the first.
    sa.Index(
        "uq_incidents_open_key",
        "key",
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    ),
    sa.Index("ix_incidents_key_detected_at", "key", "detected_at"),
    sa.Index("ix_incidents_reversed_id", "reversed_id", postgresql_ops={"reversed_id": "varchar_pattern_ops"}),
    sa.Index("ix_incidents_detected_at", "detected_at"),
    sa.Index("ix_incidents_is_open_detected_at", "is_open", "detected_at"),
    sa.Index("ix_incidents_status_detected_at", "status", "detected_at"),
    sa.Index("ix_incidents_severity_detected_at", "severity", "detected_at"),
    sa.Index("ix_incidents_scenario_detected_at", "scenario", "detected_at"),
    # A list follows one index. With one for each of the two columns, the database may follow the wrong one to the end.
    sa.Index("ix_incidents_kinds", "severity", "scenario", "detected_at"),
    sa.Index("ix_incidents_status_kinds", "status", "severity", "scenario", "detected_at"),
    sa.Index(
        "ix_incidents_open_actions",
        "detected_at",
        sqlite_where=sa.text("open_actions > 0"),
        postgresql_where=sa.text("open_actions > 0"),
    ),
    sa.Index(
        # First what is compared for equality, then the time, which is a range; the rest makes the index answer by
        # itself.
        "ix_incidents_measures",
        "counted",
        "severity",
        "scenario",
        "detected_at",
        "month",
        "seconds_to_detect",
        "seconds_to_acknowledge",
        "seconds_to_automation",
        "seconds_to_resolve",
        "seconds_of_impact",
        "recurred",
        "ended_by",
    ),
)

incident_documents = sa.Table(
    "incident_documents",
    metadata,
    id_column("incident_id"),
    sa.Column("document", sa.JSON, nullable=False),
)

incident_entries = sa.Table(
    "incident_entries",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("incident_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    # `at` may be long past, for a report that was replayed from the journal. Whether an entry should have been
    # published by now depends on when it was written.
    sa.Column("written_at", UtcDateTime, nullable=False),
    sa.Column("announced", sa.Boolean, nullable=False),
    sa.Index("ix_incident_entries_incident_id_sequence", "incident_id", "sequence"),
    sa.Index(
        "ix_incident_entries_unannounced",
        "written_at",
        sqlite_where=sa.text("NOT announced"),
        postgresql_where=sa.text("NOT announced"),
    ),
)

incident_timers = sa.Table(
    "incident_timers",
    metadata,
    sa.Column("incident_id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime),
    sa.Index(
        "ix_incident_timers_due_at",
        "due_at",
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    ),
)

incident_clocks = sa.Table(
    "incident_clocks",
    metadata,
    sa.Column("incident_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("counted", sa.Boolean, nullable=False),
    sa.Column("severity", sa.String(2), nullable=False),
    sa.Column("scenario", sa.String(32), nullable=False),
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("response_due_at", UtcDateTime, nullable=False),
    sa.Column("response_at", UtcDateTime),
    sa.Column("resolution_due_at", UtcDateTime, nullable=False),
    sa.Column("resolution_at", UtcDateTime),
    sa.Column("ended_by", sa.String(16)),
    # The resolution of such a record is counted by the record that it continues.
    sa.Column("continues", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index(
        "ix_incident_clocks_measures",
        "counted",
        "severity",
        "scenario",
        "started_at",
        "month",
        "response_due_at",
        "response_at",
        "resolution_due_at",
        "resolution_at",
        "ended_by",
        "continues",
    ),
    sa.Index(
        "ix_incident_clocks_running",
        "counted",
        "started_at",
        sqlite_where=sa.text("resolution_at IS NULL"),
        postgresql_where=sa.text("resolution_at IS NULL"),
    ),
)

incident_tallies = sa.Table(
    "incident_tallies",
    metadata,
    sa.Column("span", sa.String(5), primary_key=True),
    sa.Column("begin", sa.String(10), primary_key=True),
    sa.Column("severity", sa.String(2), primary_key=True),
    sa.Column("scenario", sa.String(32), primary_key=True),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("resolved", sa.Integer, nullable=False),
    sa.Column("recurred", sa.Integer, nullable=False),
    sa.Column("response_met", sa.Integer, nullable=False),
    sa.Column("response_breached", sa.Integer, nullable=False),
    sa.Column("resolution_met", sa.Integer, nullable=False),
    sa.Column("resolution_breached", sa.Integer, nullable=False),
    # NULL where a process of an earlier release has summed up; such a sum is made anew.
    sa.Column("ended_proof", sa.Integer),
    sa.Column("ended_person", sa.Integer),
    sa.Column("ended_workaround", sa.Integer),
    sa.Column("resolution_workaround", sa.Integer),
    sa.Column("measures", sa.LargeBinary, nullable=False),
    sa.Index(
        "ix_incident_tallies_incomplete",
        "span",
        "begin",
        sqlite_where=sa.text("resolution_workaround IS NULL"),
        postgresql_where=sa.text("resolution_workaround IS NULL"),
    ),
)

# One row per change, never updated: a process that sums up deletes exactly the marks that it has read.
incident_tally_marks = sa.Table(
    "incident_tally_marks",
    metadata,
    sa.Column("span", sa.String(5), primary_key=True),
    sa.Column("begin", sa.String(10), primary_key=True),
    sa.Column("token", sa.String(32), primary_key=True),
    sqlite_with_rowid=False,
)

incident_policies = sa.Table(
    "incident_policies",
    metadata,
    id_column("sha256"),
    sa.Column("settings", sa.JSON, nullable=False),
)
