"""The same faults for us and for other frameworks: what is injected, what is counted, and the table."""
