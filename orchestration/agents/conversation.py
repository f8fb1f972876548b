"""The conversation of one attempt: its messages, the corrections in it, and the answer that came in parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from orchestration.agents import answers, prompts
from orchestration.agents.circles import CircleStage, CircleWatch, ToolUse, remark
from orchestration.agents.history_digest import PastCall
from orchestration.agents.history_summary import HistorySummary, PastMessages
from orchestration.agents.model_calls import ModelReply
from orchestration.agents.text import excerpt
from orchestration.agents.tool_calls import ToolAnswer, name_of
from orchestration.agents.usage_budget import AgentGaveUpError, AgentSetup
from orchestration.providers.dialects.context_window import BYTES_PER_TOKEN, size_of, turns_of
from orchestration.workflows.model import AgentTask, ReviewReport, StepReport, TextAnswer

# A model that cannot produce the format after two corrections rarely does after ten, and each costs a call. What helps
# is to begin anew. One that talks in the place of working needs a push more often than a correction.
_MAX_CORRECTIONS = 2
_MAX_PUSHES = 3
_MAX_CORRECTIONS_IN_ALL = 10
_DEFAULT_MODEL_CALLS = 60
_MOST_PARTS = 8
_QUOTED_CHARACTERS = 300
_ENFORCED_FROM = 2
# Of the context, what the last turns may take that a summary leaves alone: with less it would soon be due again.
_LAST_SHARE = 0.25


class AgentConversation:
    """The messages of one attempt. Rebuilt from the recorded steps when the flow is replayed."""

    def __init__(self, task: AgentTask, output: type[BaseModel], most_task_bytes: int | None = None) -> None:
        self._task: Mapping[str, Any] = {"role": "user", "content": prompts.task_prompt(task, most_task_bytes)}
        # All that came after the task. A summary stands for the first of them, which are kept for the next summary.
        self._history: list[Mapping[str, Any]] = []
        self._past_calls: list[tuple[int, PastCall]] = []
        self._summary: HistorySummary | None = None
        self._output = output
        self._in_all = 0
        self._parts: list[str] = []
        self._attempted = False
        self._objected = False
        self._cut = False
        self._circles = CircleWatch()
        self.calls = 0
        self.corrections = 0
        self.route = ""

    @property
    def enforces_form(self) -> bool:
        """Whether only the form of the answer is still wrong, so that a schema helps more than tools."""
        return self._attempted and self.corrections >= _ENFORCED_FROM

    def messages(self, setup: AgentSetup) -> list[Mapping[str, Any]]:
        """The messages for the model, under the prompt of the present attempt. Nothing in them changes from one request
        to the next but their end, unless the history is condensed: servers keep what they have computed for the same
        beginning."""
        summary = [{"role": "user", "content": self._summary.text}] if self._summary else []
        return [{"role": "system", "content": setup.system}, self._task, *summary, *self._history[self._condensed :]]

    @property
    def can_be_condensed(self) -> bool:
        """Whether there is more than the last turn that a summary could stand for."""
        return len(turns_of(self._history[self._condensed :])) > 1

    def past(self, window: int) -> PastMessages:
        """The part of the history that is to be summed up for a context of so many tokens: all but the last turns."""
        end = self._last_turns(int(window * _LAST_SHARE * BYTES_PER_TOKEN))
        said = [str(one.get("content") or "") for one in self._history[:end] if one["role"] == "assistant"]
        calls = [call for place, call in self._past_calls if place < end]
        notes = self._summary.notes if self._summary else ""
        return PastMessages(str(self._task["content"]), notes, self._history[self._condensed : end], calls, said, end)

    def condense(self, summary: HistorySummary) -> None:
        """Let a summary stand for the part of the history that it sums up."""
        self._summary = summary

    @property
    def _condensed(self) -> int:
        return self._summary.messages if self._summary else 0

    def _last_turns(self, most: int) -> int:
        """Where the last turns begin that take so many bytes together; the last one stays whatever its size."""
        turns = [place for place in turns_of(self._history) if place > self._condensed]
        sizes = [size_of(message) for message in self._history]
        fitting = (place for place in turns if sum(sizes[place:]) <= most)
        return next(fitting, turns[-1])

    def add_reply(self, reply: ModelReply) -> None:
        """Append a reply of the model."""
        self.calls += 1
        self.route, self._cut = reply.route, reply.cut
        self._history.append({**reply.message, "as_text": True} if reply.as_text else reply.message)

    def add_results(
        self,
        calls: Sequence[Mapping[str, Any]],
        results: Sequence[ToolAnswer],
        reads_only: Callable[[str], bool],
    ) -> CircleStage:
        """Append the results of the calls of the last reply; returns what is to be done about repetitions.
        `reads_only` tells which tools change nothing."""
        turns = [
            ToolUse(name_of(call), call["function"]["arguments"], result.text, result.ok)
            for call, result in zip(calls, results, strict=True)
        ]
        stage = self._circles.add(turns)
        for turn, result in zip(turns, results, strict=True):
            past = PastCall(turn.name, turn.arguments, turn.ok, reads_only(turn.name), result.command)
            self._past_calls.append((len(self._history), past))
        if stage is CircleStage.NONE and any(result.ok for result in results):
            self.corrections, self._attempted = 0, False
        texts = [result.text for result in results]
        if stage is not CircleStage.NONE:
            texts[-1] += remark(stage, self._circles.reason)
        elif self._cut and not results[-1].ok:
            texts[-1] += _CUT_CALL
        for call, text in zip(calls, texts, strict=True):
            self._history.append({"role": "tool", "tool_call_id": call["id"], "content": text})
        return stage

    def stop_circling(self) -> None:
        """Raise AgentGaveUpError, with the circle as the reason."""
        raise AgentGaveUpError("going_in_circles", f"went in circles: {self._circles.reason}")

    def conclude(self, reply: ModelReply, setup: AgentSetup) -> BaseModel | None:
        """The answer that a reply without tool calls is; None if the model was asked to go on or to correct it. Raises
        AgentGaveUpError after the last allowed correction."""
        text = str(reply.message.get("content") or "")
        if self._output is TextAnswer and reply.cut and text:
            self._continue(text)
            return None
        try:
            answer = answers.parse("".join([*self._parts, text]), self._output)
            if not (reply.cut and self._output is ReviewReport):
                self.corrections, self._attempted = 0, False
                return answer
            problem, self._attempted = "", True
        except answers.MalformedAnswerError as error:
            problem, self._attempted = error.problem, error.attempted
        talks = not self._attempted and bool(setup.tools) and self._output is StepReport
        if reply.cut:
            self._request_correction(_CUT, _SHORTER, text)
        elif talks:
            self._request_correction(_NO_ACTION, _ACT, text, most=_MAX_PUSHES)
        else:
            self._request_correction(problem, "", text)
        return None

    def object(self, objection: str) -> bool:
        """Send a report back for what contradicts it; False if that was done before. The run is then judged by the
        facts, and not by the report."""
        if self._objected:
            return False
        self._objected = True
        self._say(f"You report that it is done, but {objection}. {_OBJECTION}")
        return True

    def check(self, setup: AgentSetup) -> None:
        """Raise AgentGaveUpError if the conversation has reached its number of model calls."""
        most = setup.limits.get("model_calls", _DEFAULT_MODEL_CALLS)
        if self.calls >= most:
            raise AgentGaveUpError("too_many_model_calls", f"not finished after {most} model calls")

    def _continue(self, text: str) -> None:
        """Keep a part of a text that was cut off, and ask for the rest."""
        self._parts.append(text)
        if len(self._parts) >= _MOST_PARTS:
            message = f"the text did not end within {_MOST_PARTS} answers, each cut off at the limit of length"
            raise AgentGaveUpError("malformed_answer", message)
        self._say("Your answer was cut off at the limit of length. Go on exactly where it ends, and repeat nothing.")

    def _request_correction(self, problem: str, advice: str, answer: str, most: int = _MAX_CORRECTIONS) -> None:
        """Tell the model what is wrong with its answer. Raises AgentGaveUpError after the last allowed correction."""
        self.corrections += 1
        self._in_all += 1
        if self.corrections > most or self._in_all > _MAX_CORRECTIONS_IN_ALL:
            quoted = json.dumps(excerpt(answer, _QUOTED_CHARACTERS), ensure_ascii=False) if answer else "empty"
            message = f"{problem} (after {self.corrections - 1} corrections; the last answer was {quoted})"
            raise AgentGaveUpError("malformed_answer", message)
        self._say(" ".join(part for part in (problem, advice, answers.instead(self._output)) if part))

    def _say(self, text: str) -> None:
        self._history.append({"role": "user", "content": text})


_NO_ACTION = "The answer had neither a tool call nor a report."
_ACT = "If there is work left, do it now: call the next tool. If you have finished, report it."
_CUT = "The answer was cut off at the limit of length, so it cannot be used."
_SHORTER = "Answer again, and shorter."
_CUT_CALL = (
    "\n[note: your answer was cut off at the limit of length in the middle of this call. Send less at once: "
    "a large file in several pieces, and one call in each answer.]"
)
_OBJECTION = (
    "Do what is missing now, with your tools, and report again. If there is really nothing to do, or it cannot be "
    "done, report `done` as it is and say why."
)
