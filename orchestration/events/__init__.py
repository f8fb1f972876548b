"""What happened, published once: the bus, and a catalogue with one type for each kind of event."""

from orchestration.events.bus import Event, EventBus

__all__ = ["Event", "EventBus"]
