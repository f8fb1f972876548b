"""LangGraph with its SQLite saver: a node that runs `count` times, each a checkpoint (durability "sync")."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    number: int
    count: int


async def node(state: State) -> dict[str, int]:
    return {"number": state["number"] + 1}


async def main() -> None:
    count = int(sys.argv[1])
    async with AsyncSqliteSaver.from_conn_string(str(Path(tempfile.mkdtemp()) / "graph.db")) as saver:
        graph = StateGraph(State)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        graph.add_conditional_edges("node", lambda state: "node" if state["number"] < state["count"] else END)
        built = graph.compile(checkpointer=saver)

        async def run(steps: int, thread: str) -> None:
            config = {"configurable": {"thread_id": thread}, "recursion_limit": steps + 10}
            await built.ainvoke({"number": 0, "count": steps}, config, durability="sync")

        await run(50, "warm-up")
        wall, cpu = time.perf_counter(), time.process_time()
        await run(count, "bench")
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "count": count}))


asyncio.run(main())
