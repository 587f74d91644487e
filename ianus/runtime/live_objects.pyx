"""See live_objects.pxd."""


def live_objects() -> dict[str, int] | None:
    """Objects alive by kind, or None when this build does not count them."""
    if not COUNTING:
        return None
    return {"connections": alive[<int>CONNECTIONS], "exchanges": alive[<int>EXCHANGES], "buffers": alive[<int>BUFFERS]}
