"""How a training says that it was stopped from outside."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped; the message says what is kept and how to go on."""


class Preempted(Interrupted):
    """Training was stopped by SIGTERM, as preemptible machines are, and all of it is kept: no failure."""
