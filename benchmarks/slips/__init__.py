"""How runs end with an imperfect model, or an imperfect server in front of it: `python -m benchmarks.slips`."""
