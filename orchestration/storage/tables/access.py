"""Tables of access control: users, second factors, sessions, tokens, sign-ins that have begun or failed, stored
responses, and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

users = sa.Table(
    "users",
    metadata,
    id_column("name"),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.String(255), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("disabled_at", UtcDateTime),
)

# `digest` is the SHA-256 of the secret, so that a copy of the database lets nobody in.
sessions = sa.Table(
    "sessions",
    metadata,
    id_column("digest"),
    sa.Column("user", sa.String(64), nullable=False, index=True),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    # By what the user was proven beside the password; null where nothing was, as in rows of earlier releases.
    sa.Column("proof", sa.String(16)),
)

# `secret` is sealed by a key that is not in the database; `last_step` is the time step of the newest code accepted.
second_factors = sa.Table(
    "second_factors",
    metadata,
    id_column("user"),
    sa.Column("secret", sa.String(255), nullable=False),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    id_column("digest"),
    sa.Column("user", sa.String(64), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
)

# Who a user is at an identity provider; `managed` ones have their role from there.
identities = sa.Table(
    "identities",
    metadata,
    sa.Column("issuer", sa.String(255), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("user", sa.String(64), nullable=False, index=True),
    sa.Column("managed", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# Sign-ins that have begun, each bound to a browser by a cookie whose digest this is.
sign_in_challenges = sa.Table(
    "sign_in_challenges",
    metadata,
    id_column("digest"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("user", sa.String(64), index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    id_column(),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("scopes", sa.JSON),
    sa.Column("limits", sa.JSON, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("team", sa.String(64)),
)

sign_in_failures = sa.Table(
    "sign_in_failures",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("user", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_sign_in_failures_source_at", "source", "at"),
)

kept_answers = sa.Table(
    "kept_answers",
    metadata,
    id_column("key"),
    sa.Column("request", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.Text, nullable=False),
    # Old responses are deleted whenever a key is claimed.
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)

audit = sa.Table(
    "audit",
    metadata,
    # Not numbered by the database, whose sequences have gaps: a missing number must mean that a line was removed.
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(255), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Index("ix_audit_at", "at"),
)
