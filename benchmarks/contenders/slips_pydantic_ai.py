"""pydantic-ai: one `Agent` a role, `NativeOutput` for the forms, three tries for an answer or a tool's arguments."""

from __future__ import annotations

from pydantic_ai import Agent, NativeOutput, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.contenders import slips_job


async def _heard(_context, events):
    """Taking the events is what makes it stream."""
    async for _ in events:
        pass


class PydanticAI:
    def converse(self, job, role, prompt, form):
        model = OpenAIChatModel(slips_job.MODEL, provider=OpenAIProvider(base_url=job.url, api_key="none"))
        agent = Agent(
            model,
            output_type=str if form is None else NativeOutput(form),
            instructions=slips_job.system(role),
            tools=slips_job.tools_for(job, role),
            retries=3,
        )
        limits = UsageLimits(request_limit=slips_job.MOST_CALLS)
        handler = _heard if job.stream else None
        return agent.run_sync(prompt, usage_limits=limits, event_stream_handler=handler).output


slips_job.serve(PydanticAI())
