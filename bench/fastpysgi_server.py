"""Starts fastpysgi on uvloop, which its own command cannot do: ``fastpysgi_server.py MODULE:ATTR PORT``."""

import sys
from importlib import import_module

# The peers live in an environment of their own, where no type checker looks for them.
fastpysgi = import_module("fastpysgi")
uvloop = import_module("uvloop")


def main(target: str, port: str) -> None:
    """Serves until the process is stopped."""
    module, _, attribute = target.partition(":")
    fastpysgi.server.loop = uvloop.new_event_loop()
    fastpysgi.server.tcp_nodelay = 1
    fastpysgi.run(getattr(import_module(module), attribute), "127.0.0.1", int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
