"""Bounds the number of workers of --workers auto by the memory of the container.

Facts: a container often has many CPUs of its machine and little memory, so one worker for each CPU is too many. The
memory of a worker is known only after it has loaded the application, and grows with its requests. Strategy: the first
worker is measured when it is ready, and is expected to need GROWTH times as much. The other workers start after it.
"""

import os

from ianus.process.supervisor.control_groups import memory_limit
from ianus.process.supervisor.serving_limits import resident_bytes
from ianus.telemetry.logger import logger

# The expected memory of a worker, by its memory after the start.
GROWTH = 1.5

# The part of the limit that workers may have. The rest is for the kernel's buffers, and for a replacement that starts.
USABLE_SHARE = 0.9


def bound_by_memory(workers: int, pid: int) -> int:
    """Returns the number of workers that fit into the memory of the container, at most `workers`, and logs it.

    pid: a worker that has just started.
    """
    limit, size = memory_limit(), resident_bytes(pid)
    if not limit or not size:
        logger.info("workers: %d (--workers auto): one for each CPU; there is no limit of memory", workers)
        return workers
    count = fitting_workers(workers, limit=limit, own=resident_bytes(os.getpid()), worker=size)
    logger.info(
        "workers: %d (--workers auto): %d for the CPUs, limited by %d MiB of memory; a worker has %d MiB after its"
        " start and is expected to need %d MiB",
        count,
        workers,
        limit >> 20,
        size >> 20,
        int(size * GROWTH) >> 20,
    )
    return count


def fitting_workers(workers: int, *, limit: int, own: int, worker: int) -> int:
    """Returns the number of workers that fit, at least 1. own, worker: memory of the supervisor, and of a worker."""
    return max(1, min(workers, int((limit * USABLE_SHARE - own) / (worker * GROWTH))))
