"""Agents, tools, models and budgets as people declare them in Python, and the configuration that each is written as.

A module of the user's that declares them is also imported by the processes in which its functions run. So nothing here
imports the system: it takes no time, and it cannot start anything.
"""
