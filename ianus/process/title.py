"""Sets the name of a process in ps and top.

Python is started with the command's line and cannot change it. setproctitle can (an extra); without it there is the
short name that the kernel has for every thread, which `top` shows, `ps -o comm` and the kernel's own messages.
"""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

from ianus.settings.schema import Settings

# Bytes of it that the kernel keeps.
_SHORT = 15


def name_process(settings: Settings, part: str) -> None:
    """Names this process after its role in the server, such as "worker 1"."""
    set_title(f"{settings.process_name or 'ianus'}: {part}")


def set_title(text: str) -> None:
    """Names this process `text`, as far as the system allows.

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
        pass  # Only for display.
