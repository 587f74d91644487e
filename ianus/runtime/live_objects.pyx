"""Reads the counts of live objects for tests; live_objects.pxd is the commented index."""


def live_objects() -> dict[str, int] | None:
    """Returns the number of live objects of each kind, or None if this build does not count them."""
    # A constant of the build, so the counts cost nothing in a release.
    if not COUNTING:
        return None
    return {"connections": alive[<int>CONNECTIONS], "exchanges": alive[<int>EXCHANGES], "buffers": alive[<int>BUFFERS]}
