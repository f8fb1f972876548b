"""The rehearsal model's scenes, of which the first that matches answers. Pure and stateless.

A scene sees one conversation and nothing else, so the same messages always get the same answer: a run that was killed
and replayed, or that moved to another copy of the server, continues where it was.
"""

from __future__ import annotations

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest
from orchestration.rehearsal.scenes import generic, scripted_calls, tallybook
from orchestration.rehearsal.scenes.scene import Scene

SCENES: tuple[Scene, ...] = (
    # A goal that spells out its calls comes before the scene of its role, or a drill's calls would never be made.
    Scene("scripted calls", scripted_calls.has_next_call, scripted_calls.call),
    # Before the planners: the sample's planner recognises its project by what these calls have read.
    Scene("look around", generic.is_planning_blindly, generic.look_around),
    Scene("tallybook planner", tallybook.is_planning, tallybook.plan),
    Scene("tallybook executor", tallybook.is_executing, tallybook.execute),
    Scene("tallybook reviewer", tallybook.is_reviewing, tallybook.review),
    Scene("planner", generic.has_role("planner"), generic.plan),
    Scene("executor", generic.has_role("executor"), generic.execute),
    Scene("reviewer", generic.has_role("reviewer"), generic.review),
    # After the roles, whose agents ask for schemas as well: an answer that merely fits is the last resort.
    Scene("structured answer", generic.wants_structure, generic.fill_in),
    Scene("anything else", generic.always, generic.explain),
)


def answer(conversation: RehearsalRequest) -> RehearsalReply:
    """The rehearsal model's next reply."""
    whole = conversation.without_damaged_calls()
    return next(scene.reply(whole) for scene in SCENES if scene.matches(whole))
