"""A budget for events that are allowed, but that only an attacker causes often (CVE-2019-9511 to 9518 and later ones).

The events cost points, and useful work and time give points back. A client without points is disconnected.
"""


cdef enum GlitchCost:
    # The client caused work that is of no use to it, or had a stream reset.
    RESET_COST = 20
    REFUSED_COST = 5
    SETTINGS_COST = 5
    # Frames that clients also send without an attack
    FRAME_COST = 1


cdef enum:
    MAX_GLITCH_POINTS = 4000
    # A browser cancels the requests of a page that its user closes, and then loads the next page.
    RESPONSE_POINTS = 30
    PIECE_POINTS = 2            # a piece of a body that an application has sent, after which clients send frames
    SECOND_POINTS = 4
    SENT_BYTES_PER_POINT = 2048  # clients send a WINDOW_UPDATE or two for a frame of data


cdef struct GlitchBudget:
    int points
    double refilled_at


cdef inline void add_points(GlitchBudget* budget, long long points) noexcept:
    budget.points = <int>min(<long long>MAX_GLITCH_POINTS, budget.points + points)


cdef inline bint take_points(GlitchBudget* budget, int points) noexcept:
    """Whether the budget had them."""
    budget.points -= points
    return budget.points >= 0


# The points of the time that has passed.
cdef void refill(GlitchBudget* budget, double now) noexcept
