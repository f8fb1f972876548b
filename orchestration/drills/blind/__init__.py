"""Blind drills: faults that nobody has chosen, drawn by a seed from primitives, and scored against what was drawn."""
