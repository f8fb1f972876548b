"""Names that others know a rehearsal by."""

MODEL = "rehearsal-1"
MODEL_PREFIX = "rehearsal"
LABEL = "[rehearsal]"
HEADER = "x-rehearsal"
FAULT_HEADER = "x-rehearsal-fault"
FINGERPRINT = "rehearsal"
LOOPBACK = "127.0.0.1"
