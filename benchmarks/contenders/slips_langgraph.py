"""LangGraph's prebuilt agent, which is `langchain.agents.create_agent` since LangGraph 1.0, with the provider's JSON
Schema for the forms."""

from __future__ import annotations

from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from benchmarks.contenders import slips_job


class LangGraph:
    def converse(self, job, role, prompt, form):
        model = ChatOpenAI(model=slips_job.MODEL, base_url=job.url, api_key="none", streaming=job.stream)
        agent = create_agent(
            model,
            [tool(function) for function in slips_job.tools_for(job, role)],
            system_prompt=slips_job.system(role),
            response_format=None if form is None else ProviderStrategy(form),
        )
        # A call and its tools are two steps of the graph.
        state = agent.invoke(
            {"messages": [{"role": "user", "content": prompt}]}, {"recursion_limit": 2 * slips_job.MOST_CALLS}
        )
        return state["messages"][-1].text if form is None else state["structured_response"]


slips_job.serve(LangGraph())
