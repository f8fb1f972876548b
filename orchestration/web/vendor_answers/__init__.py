"""What people do about an incident in the tools of vendors, and what it becomes here."""
