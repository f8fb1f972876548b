"""The gateway endpoint, `/v1`: a client of a vendor that uses it as its base URL gets routing, failover,
limits and budgets. Each API is a reader of requests and a writer of answers around one pipeline.

A model is named `auto` (the chain of the configuration), `PROVIDER/MODEL`, or by a model's name alone, which stands for
the first provider of the configuration that has it. The named one is tried first and the chain is the fallback, unless
the request has the header `X-Orchestrator-Only: true`.

A stream fails over until its first token has been sent. `X-Orchestrator-Stream: whole` holds the stream back until the
response is complete, so that it can fail over until the end. With `resume`, another model goes on with what was shown.
"""
