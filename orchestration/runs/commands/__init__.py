"""What people do to runs, one module for each command."""
