"""Our own server of the Model Context Protocol: runs, incidents, playbooks and approvals for other agents.

Each tool is a request to the API, with the caller's own token: the same roles, guards and audit trail, and nothing that
could be forgotten here.
"""
