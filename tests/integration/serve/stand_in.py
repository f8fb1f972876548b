"""A worker for the supervisor's tests: its behaviour is its first argument."""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def beat(doing: str) -> None:
    os.write(1, json.dumps({"doing": doing}).encode() + b"\n")


def main(behaviour: str) -> None:
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour == "greedy":
        hoard = bytearray(300 * 1_048_576)
        hoard[::4096] = b"x" * len(hoard[::4096])
    if behaviour == "crashing":
        sys.exit(3)
    if behaviour == "babbling":
        os.write(1, b"no heartbeat at all\n{}\n[1]\n")
    while True:
        beat("something")
        if behaviour == "silent":
            time.sleep(60)
        time.sleep(0.05)


main(sys.argv[1])
