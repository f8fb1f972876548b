"""The calls of a run on the console: a table of all, what was said in one, and two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from orchestration.cli.render import first_line, table
from orchestration.runs.run_calls import CallDetails, CallMessage
from orchestration.runs.run_comparison import RunComparison, StepFigures
from orchestration.runs.waterfall import CallBar

_NOT_KEPT = "not recorded: recording was off (`monitoring.recordCalls`), or the record is older than what is kept"


def calls_table(run_id: str, bars: Sequence[CallBar]) -> Table:
    """The calls in their order, each with the name by which it is shown."""
    rows = [
        (
            bar.key.removeprefix(f"{run_id}.") or "-",
            f"{bar.began:%H:%M:%S}",
            first_line(f"{bar.name} {bar.about}".rstrip(), 60),
            "under way" if bar.open else ("ok" if bar.ok else bar.outcome or "failed"),
            f"{bar.seconds:.1f} s",
            f"{bar.tokens:,}" if bar.tokens else "-",
            str(len(bar.attempts)) if bar.attempts else "-",
        )
        for bar in bars
    ]
    return table(("CALL", "BEGAN", "WHAT", "RESULT", "TOOK", "TOKENS", "TRIES"), rows)


def call_text(call: CallDetails) -> str:
    """All that is known of a call, as text."""
    return "\n".join([*_figures(call), *_content(call)])


def _figures(call: CallDetails) -> Iterator[str]:
    yield f"{call.key}: {call.name}, {call.state.value}, {call.seconds:.1f} s"
    if call.tokens:
        cost = "" if call.usd is None else f", ${call.usd:.4f}"
        first = "" if call.first_token_seconds is None else f", first token after {call.first_token_seconds:.1f} s"
        estimated = " (estimated)" if call.estimated else ""
        yield f"  tokens     {call.prompt_tokens:,} prompt, {call.completion_tokens:,} answer{estimated}{cost}{first}"
    for number, one in enumerate(call.attempts, start=1):
        status = f" ({one.status})" if one.status else ""
        detail = f": {first_line(one.detail, 160)}" if one.detail else ""
        yield f"  try {number:<6} {one.route}: {one.outcome}{status}, {one.seconds:.1f} s{detail}"
    if call.failure:
        yield f"  failure    {call.failure}"


def _content(call: CallDetails) -> Iterator[str]:
    if not call.recorded:
        yield f"  content    {_NOT_KEPT}"
    if call.settings:
        yield f"  settings   {', '.join(call.settings)}"
    if call.tools:
        yield f"  tools      {', '.join(call.tools)}"
    for message in call.messages:
        yield from _message(message.role, message)
    if call.thinking:
        yield from ("", "--- thinking", call.thinking)
    if call.answer is not None:
        yield from _message(f"answer ({call.finish_reason})", call.answer)
    if call.command:
        yield from ("", f"--- command: {' '.join(call.command)}")
    if call.arguments is not None:
        yield from ("", "--- arguments", call.arguments)
    if call.output is not None:
        ended = "" if call.exit_code is None else f" (exit code {call.exit_code})"
        yield from ("", f"--- output{ended}", call.output)


def _message(title: str, message: CallMessage) -> Iterator[str]:
    yield from ("", f"--- {title}", "[not kept]" if message.text is None else message.text)
    for asked in message.tool_calls:
        yield f"[calls {asked.name} {asked.arguments}]"


def comparison_tables(found: RunComparison) -> Iterator[Table]:
    """Two runs side by side: their properties, then their steps. What differs is marked."""
    rows = [
        ("≠" if one.differs else "", one.name, first_line(one.left, 60), first_line(one.right, 60))
        for one in found.values
    ]
    yield table(("", "WHAT", found.left, found.right), rows)
    yield table(
        ("STEP", found.left, found.right), [(one.name, _step(one.left), _step(one.right)) for one in found.steps]
    )


def _step(figures: StepFigures | None) -> str:
    if figures is None:
        return "-"
    calls = f"{figures.model_calls} model calls, {figures.tool_calls} tool calls"
    return f"{figures.state}, {figures.seconds:.1f} s, {calls}, {figures.tokens:,} tokens, ${figures.usd:.4f}"
