"""The words of the domain, each with its rules: what every package above may use. Pure."""
