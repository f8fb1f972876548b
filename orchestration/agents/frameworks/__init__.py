"""Frameworks as agents: an environment of its own for each, and the adapter that runs a crew, a graph or an agent."""
