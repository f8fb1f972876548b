"""pydantic-ai with DBOS as its documentation advises: a fallback model without the SDK's own retries, agents made
durable by `DBOSDurability`, tools and effects as DBOS steps with retries, a workflow that is recovered at start."""

from __future__ import annotations

import asyncio

from dbos import DBOS, SetWorkflowID, WorkflowStatusString
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.durable_exec.dbos import DBOSDurability
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.contenders import drill_job

ESCAPE = 'call save_file {"path": "../outside.txt", "text": "x"}'
WORKFLOW = "job"
JOB = drill_job.load()
RETRIED = {"retries_allowed": True, "max_attempts": 3, "interval_seconds": 0.5}


def model(url: str) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=url, api_key="none", timeout=JOB.patience, max_retries=0)
    return OpenAIChatModel(drill_job.MODEL, provider=OpenAIProvider(openai_client=client))


async def watch(_context, events) -> None:
    """Where an interface would show the answer as it comes."""
    async for _ in events:
        pass


@DBOS.step(**RETRIED)
def work(step: str) -> str:
    """Work on a part of the report."""
    return JOB.work(step)


@DBOS.step(**RETRIED)
def save_file(path: str, text: str) -> str:
    """Write a file; the package has no file tools of its own."""
    (JOB.workspace / path).write_text(text)
    return "written"


@DBOS.step(**RETRIED)
async def save(step: str, answer: str) -> None:
    JOB.save(step, answer)


def agent(role: str, *tools) -> Agent:
    return Agent(
        FallbackModel(*(model(url) for url in JOB.providers)),
        name=role,
        instructions=drill_job.prompt(role),
        tools=tools,
        retries=2,
        tool_timeout=JOB.tool_limit,
        capabilities=[DBOSDurability(event_stream_handler=watch if JOB.stream else None)],
    )


PLANNER, REVIEWER = agent("planner"), agent("reviewer")
EXECUTOR = agent("executor", work, *([save_file] if JOB.escape else []))


@DBOS.workflow()
async def job() -> None:
    steps = [("plan", PLANNER), *((f"part-{part}", EXECUTOR) for part in drill_job.PARTS), ("review", REVIEWER)]
    for step, who in steps:
        answer = await who.run(JOB.goal(step, ESCAPE))
        await save(step, answer.output)


async def handle():
    """The workflow under way, which launching has recovered; a failed one from the step that failed; or a new one."""
    status = await DBOS.get_workflow_status_async(WORKFLOW)
    if status is None:
        with SetWorkflowID(WORKFLOW):
            return await DBOS.start_workflow_async(job)
    if status.status == WorkflowStatusString.ERROR.value:
        steps = await DBOS.list_workflow_steps_async(WORKFLOW)
        return await DBOS.fork_workflow_async(WORKFLOW, max(step["function_id"] for step in steps))
    return await DBOS.retrieve_workflow_async(WORKFLOW)


async def main() -> None:
    DBOS(config={"name": "drill", "system_database_url": f"sqlite:///{JOB.folder}/dbos.db", "run_admin_server": False})
    DBOS.launch()
    await (await handle()).get_result()
    drill_job.done()
    DBOS.destroy()


asyncio.run(main())
