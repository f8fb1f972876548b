"""The drills, a module for each scenario."""
