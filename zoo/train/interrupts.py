"""Exceptions of a training that a signal stopped."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped; the message says what was saved and how to resume."""


class Preempted(Interrupted):
    """Training was stopped by SIGTERM, as on preemptible machines, and saved: not a failure."""
