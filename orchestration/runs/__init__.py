"""The use cases of runs: launch one, resume or fork it, stop it, start it by the calendar."""
