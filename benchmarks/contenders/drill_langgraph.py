"""LangGraph as its documentation advises: a graph with a SQLite checkpointer, a retry policy and a timeout for each
node, models with a fallback and without the SDK's own retries, the file tools of langchain-community with a root."""

from __future__ import annotations

import asyncio

from langchain_community.agent_toolkits import FileManagementToolkit
from langchain_core.messages import HumanMessage, RemoveMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import RetryPolicy

from benchmarks.contenders import drill_job

ESCAPE = 'call write_file {"file_path": "../outside.txt", "text": "x"}'
JOB = drill_job.load()


class State(MessagesState):
    part: int


@tool
def work(step: str) -> str:
    """Work on a part of the report."""
    return JOB.work(step)


def tools():
    files = FileManagementToolkit(root_dir=str(JOB.workspace), selected_tools=["read_file", "write_file"])
    return [work, *(files.get_tools() if JOB.escape else ())]


def model(*bound):
    """The first provider with the others as fallbacks."""
    models = [
        ChatOpenAI(
            model=drill_job.MODEL,
            base_url=url,
            api_key="none",
            timeout=JOB.patience,
            max_retries=0,
            streaming=JOB.stream,
        )
        for url in JOB.providers
    ]
    first, *others = [one.bind_tools(bound) if bound else one for one in models]
    return first.with_fallbacks(others)


def asked(role: str, step: str):
    return [SystemMessage(drill_job.prompt(role)), HumanMessage(JOB.goal(step, ESCAPE))]


async def planner(_state: State):
    answer = await model().ainvoke(asked("planner", "plan"))
    JOB.save("plan", answer.text)
    return {"part": 1, "messages": asked("executor", "part-1")}


async def executor(state: State):
    answer = await model(*tools()).ainvoke(state["messages"])
    if answer.tool_calls:
        return {"messages": [answer]}
    JOB.save(f"part-{state['part']}", answer.text)
    following = state["part"] + 1
    fresh = asked("executor", f"part-{following}")
    return {"part": following, "messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *fresh]}


def after_executor(state: State) -> str:
    if tools_condition(state) != END:
        return "tools"
    return "executor" if state["part"] <= len(drill_job.PARTS) else "reviewer"


async def reviewer(_state: State):
    answer = await model().ainvoke(asked("reviewer", "review"))
    JOB.save("review", answer.text)
    return {}


def graph() -> StateGraph:
    built = StateGraph(State)
    retry = RetryPolicy(max_attempts=3, retry_on=Exception)
    for name, node in (("planner", planner), ("executor", executor), ("reviewer", reviewer)):
        built.add_node(name, node, retry_policy=retry, timeout=JOB.step_limit)
    built.add_node("tools", ToolNode(tools()), retry_policy=retry, timeout=JOB.tool_limit)
    built.add_edge(START, "planner")
    built.add_edge("planner", "executor")
    built.add_conditional_edges("executor", after_executor, ["tools", "executor", "reviewer"])
    built.add_edge("tools", "executor")
    built.add_edge("reviewer", END)
    return built


async def main() -> None:
    async with AsyncSqliteSaver.from_conn_string(str(JOB.folder / "graph.db")) as saver:
        compiled = graph().compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "job"}}
        begun = (await compiled.aget_state(config)).next
        await compiled.ainvoke(None if begun else {"part": 0, "messages": []}, config, durability="sync")
        drill_job.done()


asyncio.run(main())
