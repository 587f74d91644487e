"""The exit codes of worker processes, and their descriptions for the log."""

import signal

# Exit codes of workers that another process stopped before they could handle signals. If all processes got the
# signal, the supervisor stops too.
EXTERNAL_STOP_CODES = (-signal.SIGTERM, -signal.SIGQUIT)


def describe_exit(code: int) -> str:
    """Returns a description of an exit code, which is one of os.waitstatus_to_exitcode()."""
    return f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"


def _signal_name(number: int) -> str:
    """Returns the name of a signal, or its number: real-time signals have no names."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
