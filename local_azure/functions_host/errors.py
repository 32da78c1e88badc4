"""The failures of the functions host that a caller acts on."""


class HostError(Exception):
    """Any failure that the functions host reports itself; the message is written for the person at the terminal."""


class IndexFailed(HostError):
    """The app could not be indexed; the message is the runtime's own error. The command line exits with 3."""


class SettingsInvalid(HostError):
    """host.json, local.settings.json, a binding or a setting it names cannot be used. Exit code 2."""


class InvocationFailed(Exception):
    """A function raised; ``message`` is ``repr(exception)`` as the runtime reports it.

    Durable functions carry their state behind the marker ``$OutOfProcData$:`` in that text.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.traceback = traceback


class InvocationTimedOut(InvocationFailed):
    """The function ran longer than ``functionTimeout`` of host.json; it was cancelled."""


class WorkerLost(InvocationFailed):
    """The worker process died while it ran the function; a new worker is started."""


class InvocationAborted(Exception):
    """The invocation did not come to an end, and not by the function's fault: it may be run again."""
