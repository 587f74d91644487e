"""The life of a process: starting, serving, stopping. Plain Python."""
