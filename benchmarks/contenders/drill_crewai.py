"""CrewAI as its documentation advises: agents with retries and a time limit, a crew with checkpoints, its own file
tools. It has no fallback of its own between models: one is written here as its page on custom models shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["CREWAI_DESERIALIZE_CALLBACKS"] = "1"  # else a crew with callbacks is not restored from its checkpoint

from crewai import LLM, Agent, BaseLLM, Crew, Process, Task
from crewai.state.checkpoint_config import CheckpointConfig
from crewai.tools import BaseTool
from crewai_tools import FileWriterTool

from benchmarks.contenders import drill_job

ESCAPE = 'call file_writer_tool {"filename": "outside.txt", "directory": "..", "content": "x"}'
JOB = drill_job.load()
CHECKPOINTS = JOB.folder / "checkpoints"


def model(url: str) -> LLM:
    return LLM(
        model=f"openai/{drill_job.MODEL}",
        base_url=url,
        api_key="none",
        timeout=JOB.patience,
        max_retries=0,
        stream=JOB.stream,
    )


MODELS = [model(url) for url in JOB.providers]


class WithFallback(BaseLLM):
    """The first model that answers."""

    def call(self, *args, **kwargs):
        for one in MODELS[:-1]:
            try:
                return one.call(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 (whatever the first says, the second is asked)
                print(f"falling back: {error!r}", file=sys.stderr)
        return MODELS[-1].call(*args, **kwargs)

    def supports_function_calling(self) -> bool:
        return True

    def supports_stop_words(self) -> bool:
        return False


class Work(BaseTool):
    name: str = "work"
    description: str = "Work on a part of the report."

    def _run(self, step: str) -> str:
        return JOB.work(step)


def save(output) -> None:
    JOB.save(output.name, output.raw)


def agent(role: str, *tools: BaseTool) -> Agent:
    return Agent(
        role=role,
        goal="Do your step well.",
        backstory=f"\n{drill_job.prompt(role)}",
        llm=WithFallback(model=drill_job.MODEL),
        tools=list(tools),
        max_retry_limit=2,
        max_execution_time=int(JOB.step_limit),
        verbose=True,
    )


def crew() -> Crew:
    files = [FileWriterTool(base_dir=str(JOB.workspace))] if JOB.escape else []
    planner, executor, reviewer = agent("planner"), agent("executor", Work(), *files), agent("reviewer")
    steps = [("plan", planner), *((f"part-{part}", executor) for part in drill_job.PARTS), ("review", reviewer)]
    tasks = [
        Task(name=step, description=JOB.goal(step, ESCAPE), expected_output="JSON", agent=who, callback=save)
        for step, who in steps
    ]
    return Crew(
        agents=[planner, executor, reviewer],
        tasks=tasks,
        process=Process.sequential,
        checkpoint=CheckpointConfig(location=str(CHECKPOINTS)),
        verbose=True,
    )


def latest() -> Path | None:
    return max(CHECKPOINTS.rglob("*.json"), key=lambda path: path.stat().st_mtime_ns, default=None)


def begun() -> Crew | None:
    """The crew as of its latest checkpoint. A custom model is not restored with it, so it is put back."""
    found = latest()
    if found is None:
        return None
    restored = Crew.from_checkpoint(CheckpointConfig(location=str(CHECKPOINTS), restore_from=found))
    for one in restored.agents:
        one.llm = WithFallback(model=drill_job.MODEL)
    return restored


if __name__ == "__main__":
    (begun() or crew()).kickoff()
    drill_job.done()
