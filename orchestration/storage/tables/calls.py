"""Tables of what was said in runs: prompts, answers, arguments and outputs of model and tool calls."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, metadata

call_records = sa.Table(
    "call_records",
    metadata,
    # `RUN.AGENT.STEP/NUMBER`, whose parts may be 64 characters long each.
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False, index=True),
    sa.Column("agent", sa.String(64)),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("content", sa.JSON, nullable=False),
)

# A conversation is sent again with every call, so each of its messages is kept once for the whole run.
call_texts = sa.Table(
    "call_texts",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("text", sa.LargeBinary, nullable=False),
)
