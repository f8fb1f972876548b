"""One program for each contender and task; each prints one line of JSON. Peers run in an environment of their own."""
