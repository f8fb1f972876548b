"""CrewAI: a crew of one agent and one task for each conversation, `output_pydantic` for the forms."""

from __future__ import annotations

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

from benchmarks.contenders import slips_job


class CrewAI:
    def converse(self, job, role, prompt, form):
        llm = LLM(model=f"openai/{slips_job.MODEL}", base_url=job.url, api_key="none", stream=job.stream, timeout=30)
        agent = Agent(
            role=role,
            goal="Do your step well.",
            backstory=f"\n{slips_job.system(role)}",
            llm=llm,
            tools=[tool(function) for function in slips_job.tools_for(job, role)],
            max_iter=slips_job.MOST_CALLS,
        )
        expected = "The text." if form is None else f"An object of the form {form.__name__}."
        task = Task(description=prompt, expected_output=expected, agent=agent, output_pydantic=form)
        output = Crew(agents=[agent], tasks=[task]).kickoff()
        return output.raw if form is None else output.pydantic


slips_job.serve(CrewAI())
