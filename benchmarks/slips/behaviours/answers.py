"""Final answers that are nearly of the form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.slips import competent
from benchmarks.slips.behaviours.base import FINDINGS, LOCAL_JSON, THINKING, Behaviour, Change, Wanted
from benchmarks.slips.behaviours.talk import words
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Reply


def final(edit: Callable[[str], str]) -> Change:
    """Change the text of final answers, and nothing else."""

    def change(reply: Reply, _: Seen) -> Reply:
        return reply if reply.calls or reply.content is None else replace(reply, content=edit(reply.content))

    return change


def fields(**changed: Any) -> Change:
    """Put other values into the final answer."""
    return final(lambda text: json.dumps({**json.loads(text), **changed}))


def cut_once(reply: Reply, request: Seen) -> Reply:
    """Stop in the middle of the final answer, for its length."""
    if reply.calls or reply.content is None or request.corrected:
        return reply
    return replace(reply, content=reply.content[: len(reply.content) // 2], finish="length")


NEARLY_JSON: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "fenced": ("openai/openai-agents-python#280", lambda text: f"```json\n{text}\n```"),
    "words around": (LOCAL_JSON, lambda text: f"Here is the result:\n\n{text}\n\nLet me know if you need more."),
    "trailing comma": (LOCAL_JSON, lambda text: text[:-1] + ",}"),
    "a comment": (FINDINGS, lambda text: text[:-1] + "\n// as asked\n}"),
    "raw line feed in a text": (
        "comet-ml/opik#2518",
        lambda text: text.replace("; ", ";\n").replace(" is ", "\nis ", 1),
    ),
    "curly quotes": (LOCAL_JSON, lambda text: text.replace('"', "\u201c", 1).replace('"', "\u201d", 1)),
    "one wrapper too many": (FINDINGS, lambda text: f'{{"result": {text}}}'),
    "a list of one": (FINDINGS, lambda text: f"[{text}]"),
    "JSON in a JSON text": (FINDINGS, json.dumps),
    "a key too many": (FINDINGS, lambda text: text[:-1] + ', "confidence": 0.9}'),
    "thinking before": (THINKING, lambda text: f"<think>\nIs it {{}}? No.\n</think>\n{text}"),
    "thinking without its beginning": (
        "tonyd2wild's report on DeepSeek V4",
        lambda text: f"Is it right? Yes.\n</think>\n\n{text}",
    ),
    "Python's words": (LOCAL_JSON, lambda text: repr(json.loads(text))),
}


def nearly_json() -> Iterator[Behaviour]:
    """Final answers with small faults, of executors and planners."""
    for role in ("executor", "planner"):
        for name, (source, edit) in NEARLY_JSON.items():
            yield Behaviour(f"{role}'s answer: {name}", source, role=role, change=final(edit))
    yield Behaviour("executor's answer: cut for its length", FINDINGS, change=cut_once)
    yield Behaviour("executor's answer: done as text", FINDINGS, change=fields(done="true"))
    yield Behaviour("executor's answer: null for a list", FINDINGS, change=fields(notes=None))
    yield Behaviour("executor's answer: a text for a list", FINDINGS, change=fields(notes="It was one line."))


def plans() -> Iterator[Behaviour]:
    """Plans that say what is meant, in not quite the form."""
    step = competent.PLAN["steps"][0]
    edits: Mapping[str, Any] = {
        "a number as id": {**step, "id": 1},
        "a sentence as id": {**step, "id": "Repair the total"},
        "null for what it depends on": {**step, "depends_on": None},
        "a text for the files": {**step, "files": "prices.py"},
        "no list of files": {name: value for name, value in step.items() if name != "files"},
        "depends on itself": {**step, "depends_on": ["s1"]},
    }
    for name, changed in edits.items():
        first = 1 if name == "depends on itself" else None
        yield Behaviour(f"plan: {name}", FINDINGS, role="planner", change=fields(steps=[changed]), first=first)
    yield Behaviour("plan: one step, not in a list", FINDINGS, role="planner", change=fields(steps=dict(step)))
    yield Behaviour(
        "plan: steps twice by one id, once", FINDINGS, role="planner", change=fields(steps=[step, step]), first=1
    )
    yield Behaviour(
        "plan: in plain words, once", FINDINGS, role="planner", change=words("1. Open prices.py\n2. Mend it"), first=1
    )
    yield Behaviour(
        "plan: in plain words, always",
        FINDINGS,
        role="planner",
        change=words("1. Open prices.py\n2. Mend it"),
        why="a numbered list of steps is a plan; who carries it out knows the goal",
    )
    # Nobody checks this claim but the reviewer, who can send the work to the executor after all.
    yield Behaviour("plan: nothing to do", FINDINGS, role="planner", change=fields(steps=[]))


def reviews() -> Iterator[Behaviour]:
    """A gate is open only where it was opened."""
    no, yes = json.dumps(competent.REJECTED), json.dumps(competent.APPROVED)
    approve: Mapping[str, str] = {
        "Approved with a capital": yes.replace('"approved"', '"Approved"'),
        "APPROVE": yes.replace('"approved"', '"APPROVE"'),
        "null for findings": json.dumps({**competent.APPROVED, "findings": None}),
        "thinks no, says yes": f"<think>Perhaps {no}?</think>{yes}",
        "fenced": f"```json\n{yes}\n```",
    }
    for name, text in approve.items():
        yield Behaviour(f"review: {name}", FINDINGS, role="reviewer", change=words(text))
    reject: Mapping[str, str] = {
        "thinks yes, says no": f"<think>Perhaps {yes}?</think>{no}",
        "quotes a sample, says no": f"The form is {yes}. My judgement:\n{no}",
        "thinks aloud, then says no": f"At first sight:\n```json\n{yes}\n```\nBut on reflection:\n```json\n{no}\n```",
        "changes requested in words": no.replace("changes_requested", "Changes requested"),
        "unreadable": "It looks fine to me, mostly.",
        "empty": "",
        "both at once": '{"verdict": "approved | changes_requested", "summary": "?", "findings": []}',
        "approved, with a blocker": json.dumps({**competent.REJECTED, "verdict": "approved"}),
        "cut for its length": yes[: len(yes) // 2],
    }
    for name, text in reject.items():
        why = _UNDECIDABLE.get(name, "the verdict is no, each time")
        yield Behaviour(f"review: {name}", FINDINGS, role="reviewer", change=words(text), wanted=Wanted.HONEST, why=why)


_UNDECIDABLE: Mapping[str, str] = {
    "unreadable": "no verdict is given, and a gate does not open on a tone",
    "empty": "there is no answer to read",
    "both at once": "both verdicts are given",
    "approved, with a blocker": "the verdict contradicts its finding, each time",
    "cut for its length": "what would have followed is unknown, each time",
}


def texts() -> Iterator[Behaviour]:
    """Agents that are asked for a text: it has to be kept as it is."""
    for name, text in TEXTS.items():
        yield Behaviour(f"text: {name}", FINDINGS, role="worker", change=words(text))


TEXTS: Mapping[str, str] = {
    "plain words": competent.TEXT,
    "with a JSON sample": f'{competent.TEXT}\n\n```json\n{{"prices": [2, 3]}}\n```\n\nThat is all.',
    "with a sample that looks like the form": f'{competent.TEXT} An answer looks like {{"text": "hello"}} on the wire.',
    "with braces of a language": f"{competent.TEXT}\n\n    function total() {{ return 1; }}\n",
}
