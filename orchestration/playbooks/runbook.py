"""The runbook: a playbook as text for people. Pure. Made from what is executed, so the two cannot differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestration.playbooks import conditions
from orchestration.playbooks.model import Mode, Option, Playbook, ProofPart, Step, VerificationPart

_MODES = {
    Mode.AUTO: "by itself",
    Mode.ASK: "after a person's approval",
    Mode.SUGGEST: "only suggested",
    Mode.OFF: "switched off",
}


def runbook(playbook: Playbook, level: int = 1) -> str:
    """The whole playbook in Markdown; `level` is that of its title."""
    return "\n".join(_parts(playbook, "#" * level)).rstrip() + "\n"


def _parts(playbook: Playbook, mark: str) -> Iterator[str]:
    yield f"{mark} {playbook.title}\n"
    yield f"{playbook.about.strip()}\n"
    if playbook.applies_when:
        yield f"Applies when {conditions.in_words(playbook.applies_when)}.\n"
    if playbook.symptoms:
        yield "**Symptoms:**\n"
        yield _bullets(playbook.symptoms)
    yield "**Response steps:**\n"
    numbered = [
        ("Identify", _steps(playbook.identify)),
        ("Diagnose", _steps(playbook.diagnose) + _causes(playbook)),
        ("Mitigate", "".join(_option(option) for option in playbook.mitigate) or "   - A person decides.\n"),
        ("Verify", "" if playbook.verify is None else _verification(playbook.verify)),
        ("Recover", _steps(playbook.recover)),
        ("Document", _steps(playbook.document)),
    ]
    for number, (name, text) in enumerate([(name, text) for name, text in numbered if text], 1):
        yield f"{number}. **{name}**:\n{text}"
    if playbook.hand_over.reason:
        yield f"**Hand over** to level {playbook.hand_over.level}: {playbook.hand_over.reason}\n"
    if playbook.escalate:
        yield "**Escalate:**\n"
        yield _bullets(
            f"to level {rule.level} when {conditions.in_words(rule.when)}: {rule.reason}" for rule in playbook.escalate
        )
    if playbook.prevention:
        yield "**Prevention:**\n"
        yield _bullets(playbook.prevention)
    guards = playbook.guards
    yield "**Limits on what the system does by itself:**\n"
    yield _bullets(
        (
            f"at most {guards.runs_per_hour} times an hour for each action, {guards.cooldown:g} s apart",
            f"at most {guards.attempts} attempts at one incident, then a person is called",
            f"nothing at all while more than {guards.fleet_percent:g} % of the fleet is unwell",
        )
    )


def _steps(steps: Sequence[Step]) -> str:
    return "".join(_step(step) for step in steps)


def _step(step: Step, indent: str = "   ") -> str:
    conditional = f" When {conditions.in_words(step.when)}." if step.when else ""
    careful = f" ({_MODES[step.mode]})" if step.mode is not Mode.AUTO else ""
    text = f"{indent}- {step.why.strip() or step.action}{conditional} `{step.action}`{careful}\n"
    if step.manual_steps:
        commands = "".join(f"{indent}  {command}\n" for command in step.manual_steps)
        text += f"{indent}  ```bash\n{commands}{indent}  ```\n"
    return text


def _option(option: Option) -> str:
    condition = f", when {conditions.in_words(option.when)}" if option.when else ""
    return f"   - **{option.summary}**{condition}:\n" + "".join(_step(step, "     ") for step in option.steps)


def _causes(playbook: Playbook) -> str:
    return "".join(
        f"   - Likely cause ({cause.weight} of 100): {cause.summary}, when {conditions.in_words(cause.when)}\n"
        for cause in sorted(playbook.hypotheses, key=lambda cause: -cause.weight)
    )


def _verification(verify: VerificationPart) -> str:
    stable = f" and stays so for {verify.stable:g} s" if verify.stable else ""
    rule = f"   - It has helped when {conditions.in_words(verify.holds)}{stable}, within {verify.within:g} s.\n"
    return (
        _steps(verify.steps)
        + rule
        + (f"   - It has not helped as soon as {conditions.in_words(verify.fails)}.\n" if verify.fails else "")
        + _proof(verify.proof)
        + "   - If not, what was done is undone in reverse order and the next way is tried.\n"
    )


def _proof(proof: ProofPart | None) -> str:
    if proof is None:
        return ""
    condition = conditions.in_words(proof.holds)
    return f"{_steps(proof.steps)}   - It is repaired, and not only worked around, when {condition}.\n"


def _bullets(lines: Sequence[str] | Iterator[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
