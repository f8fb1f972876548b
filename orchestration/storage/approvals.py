"""Questions that wait for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.errors import ConflictError, NotFoundError
from orchestration.storage.database import Database
from orchestration.storage.tables import approvals


@dataclass(frozen=True, slots=True)
class Approval:
    """A question about a run or an incident (`subject`), and the answer once there is one.

    The decision is `approved` or `denied` by a person, or what became of a question that was withdrawn. `role` is who
    may answer, empty for anybody; after `expires_at` whoever asked goes on without an answer.
    """

    id: str
    subject: str
    question: str
    created_at: datetime
    role: str = ""
    expires_at: datetime | None = None
    decision: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    decided_at: datetime | None = None


class ApprovalTable:
    """The approvals in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, approval: Approval) -> bool:
        """Add a question; False, and no change, if it was asked before: a repeated step asks once."""
        with self._database.write() as connection:
            known = connection.execute(sa.select(approvals.c.id).where(approvals.c.id == approval.id)).first()
            if known is None:
                connection.execute(sa.insert(approvals).values(**_values(approval)))
            return known is None

    def decide(self, approval_id: str, decision: str, by: str, reason: str, at: datetime) -> None:
        """Answer a question. Raises ConflictError if it was answered before, NotFoundError if it is unknown."""
        values = {"decision": decision, "decided_by": by, "reason": reason, "decided_at": at}
        with self._database.write() as connection:
            # The condition decides between two people who answer at once: only one of the two updates finds the row
            # open.
            query = sa.update(approvals).where(approvals.c.id == approval_id, approvals.c.decision.is_(None))
            if connection.execute(query.values(**values)).rowcount:
                return
        # Read after the transaction, which is safe: an answer is never changed or taken back.
        known = self.get(approval_id)
        raise ConflictError(f"The question is no longer open: {known.decided_by} has {known.decision} it already.")

    def get(self, approval_id: str) -> Approval:
        """One question. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(approvals).where(approvals.c.id == approval_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no question '{approval_id}'.")
        return Approval(**row._mapping)

    def withdraw(self, approval_id: str, decision: str, reason: str, at: datetime) -> None:
        """Close a question that needs no answer any more; one that was answered meanwhile keeps its answer."""
        values = {"decision": decision, "decided_by": "system", "reason": reason, "decided_at": at}
        with self._database.write() as connection:
            query = sa.update(approvals).where(approvals.c.id == approval_id, approvals.c.decision.is_(None))
            connection.execute(query.values(**values))

    def list_open(self, subject: str | None = None) -> tuple[Approval, ...]:
        """The open questions, oldest first."""
        query = sa.select(approvals).where(approvals.c.decision.is_(None)).order_by(approvals.c.created_at)
        if subject is not None:
            query = query.where(approvals.c.subject == subject)
        with self._database.read() as connection:
            return tuple(Approval(**row._mapping) for row in connection.execute(query))


def _values(approval: Approval) -> dict[str, Any]:
    return {column.name: getattr(approval, column.name) for column in approvals.columns}
