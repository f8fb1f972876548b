"""An agent on a model that seals its thoughts: they go back to the model that gave them, and to nobody else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response

from orchestration.app import application
from orchestration.domain.run_status import RunStatus
from tests.integration.agents.rooms import Rooms, configure
from tests.support.vendor import Asked, Vendor, as_json, vendor

# Put together here, so that no scanner takes this file for a leak.
SECRET = "ghp_" + "A1b2C3d4E5" * 3
REPORT = json.dumps({"summary": "did it", "done": True, "nothing_to_change": True})
EFFORT = {"name": "claude-x", "parameters": {"reasoningEffort": "high"}}


class Thinker:
    """Looks twice, then reports, and thinks before each. It takes back its own thoughts only, as they were, and thinks
    about the results of tools only with those before."""

    def __init__(self, name: str, thought: str = "Let me look.", turns: int = 3) -> None:
        self.name, self.thought, self.turns = name, thought, turns
        self.thinks: list[bool] = []
        self.taken_back: list[list[str]] = []

    def __call__(self, asked: Asked) -> Response:
        if self.turns == 0:
            return as_json({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529)
        turns = [turn["content"] for turn in asked.body["messages"] if turn["role"] == "assistant"]
        blocks = [block for turn in turns for block in turn]
        thoughts = [block for block in blocks if block["type"] == "thinking"]
        if any(one != self._thinking() for one in thoughts):
            return self._refused("messages.1.content.0: Invalid `signature` in `thinking` block")
        thinks = "thinking" in asked.body
        if thinks and turns and turns[-1][0]["type"] != "thinking":
            return self._refused("messages.1.content.0.type: Expected `thinking`, but found `tool_use`.")
        self.thinks.append(thinks)
        self.taken_back.append([one["thinking"] for one in thoughts])
        self.turns -= 1
        return self._said(len(turns), thinks=thinks)

    def _thinking(self) -> dict[str, Any]:
        return {"type": "thinking", "thinking": self.thought, "signature": f"signed by {self.name}"}

    def _said(self, turn: int, *, thinks: bool) -> Response:
        call = {"type": "tool_use", "id": f"toolu_{turn}", "name": "list_files", "input": {"path": "." * (turn + 1)}}
        last: dict[str, Any] = call if turn < 2 else {"type": "text", "text": REPORT}
        content = [*([self._thinking()] if thinks else []), last]
        reason = "tool_use" if last is call else "end_turn"
        usage = {"input_tokens": 10, "output_tokens": 5}
        return as_json({"id": "m", "type": "message", "content": content, "stop_reason": reason, "usage": usage})

    @staticmethod
    def _refused(message: str) -> Response:
        return as_json({"type": "error", "error": {"type": "invalid_request_error", "message": message}}, 400)


async def worked(root: Path, thinkers: Sequence[Thinker], servers: Sequence[Vendor]) -> Rooms:
    """The rooms after an executor has worked there, with these providers to be asked one after the other."""
    providers = {}
    for thinker, server in zip(thinkers, servers, strict=True):
        server.answer = thinker
        providers[thinker.name] = {
            "type": "anthropic", "baseUrl": server.url, "defaultModel": "claude-x", "streaming": False,
            "retries": 0, "apiKeyEnv": "THINKERS_KEY",
        }  # fmt: skip
    names = [thinker.name for thinker in thinkers]
    executor = {"id": "executor", "tools": ["list_files"]}
    file = configure(root, None, [executor], **providers, fallbackProviders=names[1:], defaultProvider=names[0])
    document = json.loads(file.read_text())
    del document["runtime"]["own"]
    document["models"] = {name: [EFFORT] for name in names}
    file.write_text(json.dumps(document))
    (root / ".env").write_text("THINKERS_KEY=sk-ant-x\n")
    (root / ".env").chmod(0o600)
    async with application(str(file)) as app:
        house = Rooms(root, app)
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED, run.reason
    return house


async def test_its_thoughts_go_back_to_the_model_and_it_goes_on_thinking(tmp_path: Path) -> None:
    async with vendor() as server:
        thinker = Thinker("first")
        await worked(tmp_path, [thinker], [server])
        assert thinker.thinks == [True, True, True]
        assert thinker.taken_back == [[], ["Let me look."], ["Let me look."] * 2]
        assert len(server.chats) == 3, "nothing was refused"


async def test_another_model_does_not_get_them(tmp_path: Path) -> None:
    async with vendor() as one, vendor() as other:
        first, second = Thinker("first", turns=1), Thinker("second", "I go on.", turns=2)
        await worked(tmp_path, [first, second], [one, other])
        # It has no thoughts of its own before the first result, and so is not asked for any then.
        assert (second.thinks, second.taken_back) == ([False, False], [[], []])
        assert len(other.chats) == 2, "nothing was refused"


async def test_a_thought_that_would_have_to_be_redacted_is_left_out_whole(tmp_path: Path) -> None:
    async with vendor() as server:
        thinker = Thinker("first", f"The key is {SECRET}.")
        house = await worked(tmp_path, [thinker], [server])
        assert (thinker.thinks, thinker.taken_back) == ([True, False, False], [[], [], []])
        assert SECRET not in (house.root / "var" / "engine.db").read_bytes().decode("latin-1")
