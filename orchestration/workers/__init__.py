"""Worker processes: what one does, and the supervisor that keeps a number of them alive."""
