"""What ps and top call a process.

Python is started with the command's line and cannot change it. setproctitle can (an extra); without it there is the
short name that the kernel has for every thread, which `top` shows, `ps -o comm` and the kernel's own messages.
"""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

from ianus.settings.schema import Settings

# Bytes of it that the kernel keeps.
_SHORT = 15


def name_process(settings: Settings, part: str) -> None:
    """Gives this process the name of the part that it plays in the server, such as "worker 1"."""
    set_title(f"{settings.process_name or 'ianus'}: {part}")


def set_title(text: str) -> None:
    """Calls this process `text`, as far as that can be done here.

    To be called before a process becomes another user: the kernel's files about it are root's then.
    """
    try:
        from setproctitle import setproctitle  # An extra.
    except ImportError:
        pass
    else:
        setproctitle(text)
        return
    try:
        with open("/proc/self/comm", "wb") as file:
            file.write(text.encode("utf-8", "replace")[:_SHORT])
    except OSError:
        pass  # It is for people to look at, and nothing depends on it.
