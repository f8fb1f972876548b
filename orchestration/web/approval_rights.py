"""Who may read and answer a question, by what it is about; the same for the API and the pages. Pure."""

from __future__ import annotations

from orchestration.domain.console_command import is_run
from orchestration.errors import ConflictError
from orchestration.security.principal import Principal, Role
from orchestration.storage.approvals import Approval
from orchestration.web.problems import NotAllowedError


def area_of(subject: str) -> str:
    """The area that a token's scopes must contain for questions about this run or incident."""
    return "runs" if is_run(subject) else "incidents"


def may_answer(principal: Principal, approval: Approval) -> bool:
    """Whether a caller may answer. A question without a role is for operators, who control runs."""
    return principal.may(_needed(approval), area_of(approval.subject))


def check_may_answer(principal: Principal, approval: Approval) -> None:
    """Raises NotAllowedError for a caller who may not answer."""
    if not may_answer(principal, approval):
        needed, area = _needed(approval).value, area_of(approval.subject)
        raise NotAllowedError(
            f"This requires the role {needed} for {area}. {principal.name} has the role {principal.role.value}."
        )


def check_answerable(principal: Principal, approval: Approval) -> None:
    """Raises NotAllowedError for a caller who may not answer, and ConflictError where there is an answer already."""
    check_may_answer(principal, approval)
    if approval.decision is not None:
        raise ConflictError(f"{approval.decided_by} has already {approval.decision} this.")


def _needed(approval: Approval) -> Role:
    try:
        return Role(approval.role) if approval.role else Role.OPERATOR
    # A role that this release does not know was written by a newer one. The strictest role is the safe reading.
    except ValueError:
        return Role.ADMIN
