"""Systems that send alerts: one module for each, with the reader of its payload and its descriptor."""
