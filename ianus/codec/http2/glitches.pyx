"""Refills the budget for glitches by time, so that a keepalive ping of an idle connection costs nothing in the end.

Compiled because the codec's types are.
"""


cdef void refill(GlitchBudget* budget, double now) noexcept:
    if budget.refilled_at == 0:
        budget.refilled_at = now
    elif now - budget.refilled_at >= 1:
        # Whole seconds are exact enough. After a long time the sum must not overflow.
        add_points(budget, <long long>min(<double>MAX_GLITCH_POINTS, (now - budget.refilled_at) * SECOND_POINTS))
        budget.refilled_at = now
