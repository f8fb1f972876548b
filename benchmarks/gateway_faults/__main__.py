"""`python -m benchmarks.gateway_faults [NAME…]`: how gateways answer the faults of providers, as their clients see it.

Ours, LiteLLM's proxy and Portkey's gateway, each at its stock settings, in front of a scripted provider on loopback
that breaks off, hangs, resets, refuses and lies over real sockets, with a second provider that is well. Each fault is
met whole and streamed. The verdicts: `pass` (the right answer, in time), `safe` (an error that a client can act on),
`partial` (late, damaged, or at the cost of other clients), `fail` (no answer, or a wrong one that looks right).
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks import peers
from benchmarks.gateway_faults.faults import FAULTS, Fault, Trial, keys
from benchmarks.gateway_faults.gateways import RunningGateway, Start, has_portkey, litellm, ours, portkey
from benchmarks.gateway_faults.process import UpstreamProcess, upstream_process
from benchmarks.gateway_faults.verdict import Judgement, Verdict

# So many faults are met at once: most of their time is spent waiting.
TOGETHER = 4
GATEWAYS = {"ours": ours, "litellm": litellm, "portkey": portkey}

Judgements = dict[tuple[str, bool], Judgement]


async def judged(gateway: RunningGateway, upstream: UpstreamProcess) -> Judgements:
    """Every fault, met through one gateway."""
    found: Judgements = {}
    free = asyncio.Semaphore(TOGETHER)

    async def meet(key: str, fault: Fault, streaming: bool) -> None:
        async with free:
            judgement = await fault.run(Trial(gateway, upstream, key, streaming))
        found[fault.name, streaming] = judgement
        if judgement.verdict < Verdict.PASS:
            way = "streamed" if streaming else "whole"
            print(f"{gateway.name}: {judgement.verdict}: {fault.name}, {way}: {judgement.why}", file=sys.stderr)

    # A stall comes last and alone: a gateway may see that a server on this machine is at work, for whomever.
    for last in (False, True):
        chosen = [(key, *one) for key, one in keys().items() if (one[0].kind == "stall") is last]
        await asyncio.gather(*(meet(*one) for one in chosen))
    return found


async def measured(starts: Sequence[Start]) -> dict[str, Judgements]:
    """Every gateway's judgements."""
    results = {}
    with upstream_process() as upstream:
        for start in starts:
            await upstream.forget()
            with ExitStack() as stack:
                gateway = await asyncio.to_thread(stack.enter_context, start(upstream.port, list(keys())))
                results[gateway.name] = await judged(gateway, upstream)
    return results


def table(results: dict[str, Judgements]) -> str:
    """The verdicts as Markdown: whole / streamed."""
    lines = [f"| fault | {' | '.join(results)} |", f"| --- |{' --- |' * len(results)}"]
    for fault in FAULTS:
        cells = []
        for found in results.values():
            whole, streamed = (str(found[fault.name, streaming].verdict) for streaming in (False, True))
            cells.append(whole if whole == streamed else f"{whole} / {streamed}")
        lines.append(f"| {fault.kind}: {fault.name} | {' | '.join(cells)} |")
    counts = [Counter(one.verdict for one in found.values()) for found in results.values()]
    sums = (
        " ".join(f"{count[verdict]} {verdict}" for verdict in reversed(Verdict) if count[verdict]) for count in counts
    )
    lines.append(f"| **of {2 * len(FAULTS)}** | {' | '.join(sums)} |")
    return "\n".join(lines)


def main() -> None:
    chosen = sys.argv[1:] or list(GATEWAYS)
    usable = {"litellm": lambda: peers.python_of("litellm-proxy") is not None, "portkey": has_portkey}
    starts = [GATEWAYS[name] for name in chosen if usable.get(name, lambda: True)()]
    print(table(asyncio.run(measured(starts))))


if __name__ == "__main__":
    main()
