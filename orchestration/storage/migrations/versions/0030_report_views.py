"""Views with stable names for dashboards and reports.

On SQLite a table that a view reads cannot be copied under its name: a migration in batch mode that changes one drops
the views first, and makes them anew.
"""

import re

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

# TIME is a moment as the dashboards of a database take it, DAY the day of one, SECONDS the time between two.
_VIEWS = {
    "report_runs": """
        SELECT TIME(r.created_at) AS time, r.id AS run_id, r.agent, r.provider, r.status, r.priority,
          CASE WHEN r.origin LIKE 'drill%' THEN 1 ELSE 0 END AS drill, r.created_at, r.started_at, r.finished_at,
          SECONDS(r.created_at, r.started_at) AS waited_seconds,
          SECONDS(r.started_at, r.finished_at) AS run_seconds,
          COALESCE(s.calls, 0) AS model_calls, COALESCE(s.tokens, 0) AS tokens, COALESCE(s.usd, 0) AS cost_usd
        FROM runs r LEFT JOIN (
          SELECT run_id, COUNT(*) AS calls, SUM(prompt_tokens + completion_tokens) AS tokens, SUM(usd) AS usd
          FROM spend GROUP BY run_id) s ON s.run_id = r.id""",
    "report_incidents": """
        SELECT TIME(detected_at) AS time, id AS incident_id, severity, scenario, status, title,
          CASE WHEN is_open THEN 1 ELSE 0 END AS is_open, CASE WHEN drill THEN 1 ELSE 0 END AS drill,
          CASE WHEN counted THEN 1 ELSE 0 END AS counted, assignee, acknowledged_by, detected_at, resolved_at,
          CASE WHEN seconds_to_detect >= 0 THEN seconds_to_detect END AS mttd_seconds,
          CASE WHEN seconds_to_acknowledge >= 0 THEN seconds_to_acknowledge END AS mtta_seconds,
          CASE WHEN seconds_to_automation >= 0 THEN seconds_to_automation END AS mtta_automation_seconds,
          CASE WHEN seconds_to_resolve >= 0 AND COALESCE(ended_by, '') <> 'workaround'
            THEN seconds_to_resolve END AS mttr_seconds,
          ended_by, CASE WHEN recurred THEN 1 ELSE 0 END AS recurred, open_actions
        FROM incidents""",
    "report_alerts": """
        SELECT TIME(since) AS time, id AS alert_id, name, status, source, scenario, group_key, value,
          verdict, muted_by, CASE WHEN drill THEN 1 ELSE 0 END AS drill, starts_at, ends_at,
          SECONDS(starts_at, ends_at) AS fired_seconds
        FROM alerts""",
    "report_model_calls_daily": """
        SELECT DAY_TIME(at) AS time, provider, model, agent, COUNT(*) AS calls,
          SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens,
          SUM(prompt_tokens + completion_tokens) AS tokens, COALESCE(SUM(usd), 0) AS cost_usd,
          SUM(CASE WHEN usd IS NULL THEN 1 ELSE 0 END) AS calls_without_price
        FROM spend GROUP BY DAY(at), provider, model, agent""",
    "report_playbook_runs": """
        SELECT TIME(started_at) AS time, id AS playbook_run_id, incident_id, playbook, version, state,
          phase, helped, CASE WHEN drill THEN 1 ELSE 0 END AS drill, started_at, finished_at,
          SECONDS(started_at, finished_at) AS run_seconds
        FROM playbook_runs""",
    "report_playbook_options": """
        SELECT o.playbook, o.helped AS option, o.times AS helped, a.runs AS playbook_runs,
          1.0 * o.times / a.runs AS share
        FROM (SELECT playbook, helped, COUNT(*) AS times FROM playbook_runs
          WHERE NOT drill AND helped IS NOT NULL GROUP BY playbook, helped) o
        JOIN (SELECT playbook, COUNT(*) AS runs FROM playbook_runs WHERE NOT drill GROUP BY playbook) a
          ON a.playbook = o.playbook""",
    "report_playbook_actions": """
        SELECT p.playbook, a.step, a.action,
          COUNT(DISTINCT CASE WHEN a.state IN ('started', 'done', 'failed', 'undone') THEN p.id END) AS runs_tried,
          COUNT(DISTINCT CASE WHEN a.state IN ('done', 'undone') THEN p.id END) AS runs_done,
          COUNT(DISTINCT CASE WHEN a.state = 'failed' THEN p.id END) AS runs_failed,
          COUNT(DISTINCT CASE WHEN a.state = 'undone' THEN p.id END) AS runs_undone,
          COUNT(DISTINCT CASE WHEN a.state = 'denied' THEN p.id END) AS runs_denied
        FROM action_runs a JOIN playbook_runs p ON p.id = a.run_id
        WHERE a.phase = 'mitigate' AND NOT p.drill GROUP BY p.playbook, a.step, a.action""",
}

_SERVER = {
    "DAY": r"date_trunc('day', \1 AT TIME ZONE 'UTC')",
    "DAY_TIME": r"date_trunc('day', \1 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'",
    "TIME": r"\1",
    "SECONDS": r"CAST(EXTRACT(EPOCH FROM (\2 - \1)) AS double precision)",
}
# Seconds since 1970, which the data source of Grafana for SQLite takes for a time.
_FILE = {
    "DAY": r"date(\1)",
    "DAY_TIME": r"CAST(strftime('%s', date(\1)) AS INTEGER)",
    "TIME": r"CAST(strftime('%s', \1) AS INTEGER)",
    "SECONDS": r"(julianday(\2) - julianday(\1)) * 86400.0",
}


def upgrade() -> None:
    words = _SERVER if op.get_bind().dialect.name == "postgresql" else _FILE
    for name, template in _VIEWS.items():
        text = template
        for word, form in words.items():
            text = re.sub(rf"\b{word}\(([\w.]+)(?:, ([\w.]+))?\)", form, text)
        op.execute(f"CREATE VIEW {name} AS {text}")


def downgrade() -> None:
    for name in _VIEWS:
        op.execute(f"DROP VIEW {name}")
