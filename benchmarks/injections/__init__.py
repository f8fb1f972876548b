"""What a model that obeys every text can do to the machine: `python -m benchmarks.injections`."""
