"""A crew whose application is called in the main thread (Crew.start(pinned=True)).

The main thread is a member like others, but not a thread of the crew's own. Python runs signal handlers in it alone, so
it must not sleep through a signal. Another thread reads from the wake-up descriptor that one has arrived, and wakes it.

Compiled because it uses the crew's locks.
"""
from ianus.gateway.threads.pool cimport Crew, Member
from ianus.gateway.threads.idle_stack cimport LEAD, tell_signals


cdef Member pinned_member(Crew crew):
    cdef Member member
    for member in crew.members:
        if crew.pinned and &member.place == crew.home:
            return member
    return None


def serve_pinned(Crew crew not None) -> None:
    """Calls the application in this thread, the main one, until the crew stops. For a crew that has started."""
    cdef Member member = pinned_member(crew)
    if member is not None and not member.ident:
        crew.run(member, <int>LEAD)


def has_call(Crew crew not None) -> bool:
    """Returns whether the main thread is in a call of the application."""
    cdef Member member = pinned_member(crew)
    return member is not None and member.exchange is not None


def on_signal(Crew crew not None) -> None:
    """Has the main thread run signal handlers, if it sleeps. For other threads."""
    cdef Member member
    crew.enter()
    try:
        member = pinned_member(crew)
        if member is None:
            return
        crew.has_signals = True
        if member.exchange is not None and member.exchange.waiting:
            member.exchange.waiting = False
            crew.make_room(member.exchange)
        if crew.leader == crew.home:
            crew.wake()
        tell_signals(&crew.parking, crew.home)
    finally:
        crew.leave()
