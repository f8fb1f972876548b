"""Commands as values: defined once, from which console, API, client and pages are built."""
