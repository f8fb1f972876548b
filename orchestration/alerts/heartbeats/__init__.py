"""Dead-man's switches: things that report that they are alive, and whose silence is an alert."""
