"""When certificates are renewed: by the advice of their authority (ARI, RFC 9773), or by their age.

All times are POSIX seconds, since certificates have those.
"""

DAY_SECONDS = 86400.0

# Certificates are renewed after this part of their validity, and short ones after half of it, as Let's Encrypt advises.
RENEWAL_PART = 2 / 3
SHORT_RENEWAL_PART = 1 / 2
SHORT_SECONDS = 10 * DAY_SECONDS

# After failures: authorities allow five failed validations of a name in an hour.
FIRST_RETRY_SECONDS = 60.0
RETRY_FACTOR = 5.0
MAX_RETRY_SECONDS = DAY_SECONDS


def default_renewal_time(start: float, end: float, part: float) -> float:
    """Returns the time of the renewal of a certificate of which the authority gives no advice.

    part: a random number from 0 to 1, so that the certificates of many servers are not renewed at once.
    """
    validity = end - start
    after = validity * (SHORT_RENEWAL_PART if validity < SHORT_SECONDS else RENEWAL_PART)
    # Up to a day earlier, or a twentieth of a short validity.
    return start + after - part * min(DAY_SECONDS, validity / 20)


def latest_renewal_time(start: float, end: float) -> float:
    """Returns the latest time at which the renewal of a certificate should start, also against other advice."""
    return end - (end - start) / 10


def retry_delay(failures: int, part: float) -> float:
    """Returns the seconds until the next attempt, after a number of failures in a row.

    part: a random number from 0 to 1, so that several servers do not try at once.
    """
    delay = min(FIRST_RETRY_SECONDS * RETRY_FACTOR ** min(failures - 1, 10), MAX_RETRY_SECONDS)
    return delay * (0.75 + part / 2)
