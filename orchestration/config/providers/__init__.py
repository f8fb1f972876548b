"""Kinds of providers: what the configuration has to know about each."""
