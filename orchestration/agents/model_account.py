"""What the model calls of one program count for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from orchestration.providers.failures import BudgetExceededError
from orchestration.providers.wire import Completion, GatewayCall
from orchestration.workflows.model import AgentUsage


@dataclass(slots=True)
class ModelAccount:
    """Whose calls a program makes, and what they have used. `model_calls` is how many it may make, if that is
    limited."""

    call: GatewayCall
    key: str
    model_calls: int | None = None
    use: AgentUsage = field(default_factory=AgentUsage)
    begun: int = 0

    def next_call(self) -> GatewayCall:
        """A call, which is counted. Raises BudgetExceededError if it would be one too many."""
        if self.model_calls is not None and self.begun >= self.model_calls:
            raise BudgetExceededError(
                f"'{self.call.agent}' may make {self.model_calls} model calls and has made them. "
                "Raise `limits.modelCalls` in the configuration and resume the run"
            )
        self.begun += 1
        # Not numbered: a program that is started again makes other calls, and each of them costs.
        return replace(self.call, key=f"{self.call.key}/{secrets.token_hex(8)}")

    def add(self, completion: Completion) -> None:
        """Add what an answer has used. Its time is the program's own, which counts as a whole."""
        use = AgentUsage(
            model_calls=1,
            tokens=completion.usage.total,
            usd=completion.usd or 0.0,
            rehearsal=completion.rehearsal,
            cached_tokens=completion.usage.cached_tokens,
        )
        self.use = self.use.plus(use)
