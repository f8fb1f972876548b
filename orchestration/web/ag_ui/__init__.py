"""AG-UI, the protocol between agents and front ends: a run as a stream of its events, revision 1.0
(https://docs.ag-ui.com/concepts/events)."""
