"""The base of all folders: the clock, wake-ups between threads, atomics, counts of live objects."""
