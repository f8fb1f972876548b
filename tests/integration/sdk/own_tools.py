"""Tools of a user's own, as the tests have them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

from orchestration.sdk import Call, tool


@tool(reads_only=True, variables=["WEATHER_KEY"])
def weather(city: str, units: Literal["metric", "imperial"] = "metric") -> dict[str, str]:
    """The weather in a city now."""
    return {"city": city, "units": units, "key": os.environ.get("WEATHER_KEY", "none")}


@tool(seconds=4)
def hangs(where: str) -> str:
    """Never returns."""
    Path(where).write_text(str(os.getpid()))
    time.sleep(600)
    return "never"


@tool(idempotent=True)
def shaky(log: str) -> str:
    """Fails at the first call."""
    with Path(log).open("a") as file:
        file.write("x")
    if len(Path(log).read_text()) < 2:
        raise ConnectionError("reset by peer")
    return "done"


@tool
def order(log: str, call: Call) -> str:
    """Orders something, which must not happen twice."""
    with Path(log).open("a") as file:
        file.write(f"{call.key}\n")
    raise ConnectionError("no answer")


@tool(reads_only=True, output_bytes=1000)
async def wordy(words: int) -> str:
    """Says a lot."""
    return "begin " + "word " * words + "end"


@tool(approval=True)
def pay(amount: int) -> str:
    """Pays."""
    return f"paid {amount}"


@tool(agents=["accountant"], reads_only=True)
def ledger() -> str:
    """Reads the ledger."""
    return "empty"
