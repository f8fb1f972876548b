"""Runs a crew, a graph or an agent object in its framework's environment: `adapter.py FRAMEWORK MODULE:OBJECT`.

It speaks the protocol for programs, and is run as a script: none of our packages is installed there, so it uses nothing
but the standard library and the framework itself. What the object may be, and what it is given, is in docs/how-to/.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TASK = "ORCHESTRATOR_TASK"
# A graph's state, of which the answer is one of these, the first that is there.
_ANSWER_KEYS = ("answer", "output", "result", "text")
_FORM_KEYS = frozenset(
    {"text", "summary", "verdict", "steps", "done", "findings", "risks", "notes", "nothing_to_change"}
)


def progress(text: str) -> None:
    """Report what is being done; it counts as a sign of life."""
    sys.stdout.write(json.dumps({"progress": text}) + "\n")
    sys.stdout.flush()


def load(name: str) -> Any:
    """The object, from a module in the project's folder."""
    module, _, path = name.partition(":")
    # Python puts this file's folder first on the path, where our module names would hide the user's.
    sys.path[0] = os.environ["ORCHESTRATOR_PROJECT"]
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def inputs_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """What a crew's templates or a graph's state can be given."""
    return {
        "goal": task["goal"],
        "prompt": task["prompt"],
        "workspace": task["workspace"],
        "documents": dict(task["context"]),
    }


async def run_crew(found: Any, task: Mapping[str, Any]) -> Any:
    """A crew, a flow, or a function or class that makes one."""
    if inspect.isclass(found):
        made = found()
        found = made.crew() if hasattr(made, "crew") else made
    elif not hasattr(found, "kickoff"):
        found = found()
    for one in (found, *getattr(found, "agents", ())):
        # Called after each step; a callback of one's own stays.
        if getattr(one, "step_callback", True) is None:
            one.step_callback = lambda step: progress(type(step).__name__)
    result = await found.kickoff_async(inputs=inputs_of(task))
    return getattr(result, "raw", result)


async def run_graph(found: Any, task: Mapping[str, Any]) -> Any:
    """A graph, compiled or not, or a function that makes one. One that is not compiled gets a checkpointer in the
    agent's state, so that a run which is started again goes on where it was."""
    if callable(found) and not hasattr(found, "ainvoke") and not hasattr(found, "compile"):
        found = found()
        found = await found if inspect.isawaitable(found) else found
    if not hasattr(found, "compile"):
        return await continue_graph(found, task)
    try:
        savers = importlib.import_module("langgraph.checkpoint.sqlite.aio")
    except ImportError:
        return await continue_graph(found.compile(), task)
    async with savers.AsyncSqliteSaver.from_conn_string(
        str(Path(os.environ["ORCHESTRATOR_STATE"]) / "graph.db")
    ) as saver:
        return await continue_graph(found.compile(checkpointer=saver), task)


async def continue_graph(graph: Any, task: Mapping[str, Any]) -> Any:
    """Run a graph from its last checkpoint, else from the beginning."""
    config = {"configurable": {"thread_id": f"{task['run_id']}/{task['agent']}/{(task['step'] or {}).get('id', '')}"}}
    given: Any = graph_input(graph, task)
    if getattr(graph, "checkpointer", None):
        state = await graph.aget_state(config)
        if state.next:
            progress(f"goes on at {', '.join(state.next)}")
            given = None
    values: Any = None
    options = {"durability": "sync"} if getattr(graph, "checkpointer", None) else {}
    async for mode, part in graph.astream(given, config, stream_mode=["updates", "values"], **options):
        if mode == "updates":
            progress(", ".join(map(str, part)))
        else:
            values = part
    return graph_answer(values)


def graph_input(graph: Any, task: Mapping[str, Any]) -> dict[str, Any]:
    """Of what there is to give, what the graph's state has room for."""
    given = {**inputs_of(task), "messages": [{"role": "user", "content": task["prompt"]}]}
    # Not by its JSON schema, which cannot be made of every TypedDict before Python 3.12.
    known = getattr(graph, "channels", given)
    return {name: value for name, value in given.items() if name in known}


def graph_answer(values: Any) -> Any:
    """The answer in a graph's last state: one of its well-known keys, else the last message."""
    if not isinstance(values, Mapping):
        return values
    named = next((values[key] for key in _ANSWER_KEYS if values.get(key)), None)
    if named is not None or not values.get("messages"):
        return values if named is None else named
    last = values["messages"][-1]
    text = getattr(last, "text", None)
    return text() if callable(text) and not isinstance(text, str) else text or getattr(last, "content", last)


async def run_agent(found: Any, task: Mapping[str, Any]) -> Any:
    """An agent of pydantic-ai, or a function that makes one. Without a model of its own it asks the gateway."""
    models = importlib.import_module("pydantic_ai.models.openai")
    if not hasattr(found, "iter"):
        found = found()
    own = {} if found.model else {"model": models.OpenAIChatModel("auto")}
    async with found.iter(task["prompt"], **own) as run:
        async for node in run:
            progress(type(node).__name__)
    return run.result.output


RUNNERS = {"crewai": run_crew, "langgraph": run_graph, "pydantic-ai": run_agent}


def as_answer(value: Any) -> str:
    """The answer as it is written to the file: a text, or JSON."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping) and not set(value) & _FORM_KEYS:
        return json.dumps({"text": json.dumps(value, default=str)})
    return value if isinstance(value, str) else json.dumps(value, default=str)


def main() -> None:
    framework, name = sys.argv[1:]
    task = json.loads(Path(os.environ[TASK]).read_text(encoding="utf-8"))
    progress(f"loads {name}")
    answer = as_answer(asyncio.run(RUNNERS[framework](load(name), task)))
    file = Path(os.environ["ORCHESTRATOR_ANSWER"])
    # Renamed into place, so that a process that is killed while writing leaves no half answer.
    unfinished = file.with_name("answer.unfinished")
    unfinished.write_text(answer, encoding="utf-8")
    unfinished.replace(file)


if __name__ == "__main__":
    main()
