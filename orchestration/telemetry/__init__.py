"""OpenTelemetry: traces, metrics and logs over OTLP, made from events and records.

Spans of models, agents, tools and workflows follow the semantic conventions for generative AI
(https://github.com/open-telemetry/semantic-conventions-genai), revision 7e7e4e7. Identifiers derive from those of runs
and incidents, so any process can export any part, and what is exported twice is the same span.
"""
