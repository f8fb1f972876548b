"""Notification channels as the configuration knows them: their settings, and one descriptor for each kind."""
