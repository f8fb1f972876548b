"""Tools of servers of the Model Context Protocol, by its official SDK: https://modelcontextprotocol.io.

A server is foreign code, or foreign text at least: it runs isolated, its answers have limits, and what it says about
its tools is inspected before a model reads it.
"""
