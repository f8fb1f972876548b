"""The goal of a run, as people give it."""

from __future__ import annotations

from orchestration.errors import UsageError

GOAL_LIMIT = 100_000


def checked_goal(text: str) -> str:
    """The goal without blanks around it. Raises UsageError when it is empty or too long."""
    goal = text.strip()
    if any(not (character.isprintable() or character.isspace()) for character in goal):
        raise UsageError("expected a goal in words, got characters that are no text; write it as UTF-8")
    if not goal:
        raise UsageError("expected a goal, got an empty one; say what should be done, for example: make the tests pass")
    if len(goal) > GOAL_LIMIT:
        raise UsageError(
            f"expected a goal of at most {GOAL_LIMIT:,} characters, got more; "
            "put the details in a file of the workspace and name it"
        )
    return goal
