"""Speed and memory against peers, in one run, as ratios. `./run benchmark` makes the peers' environment and runs it."""
