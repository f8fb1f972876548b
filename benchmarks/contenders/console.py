"""The processor time of a whole command."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

command = {"pass": ["-c", "pass"], "help": ["-m", "orchestration", "--help"]}[sys.argv[1]]
subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
before = resource.getrusage(resource.RUSAGE_CHILDREN)
subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
after = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}))
