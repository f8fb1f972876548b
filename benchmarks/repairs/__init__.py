"""Small repairs in five languages, through our tools and through plain ones: `python -m benchmarks.repairs`."""
