"""The words of the domain, each with its rules: what every room above may speak of. Pure."""
