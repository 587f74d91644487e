"""What all parts stand on: the clock, wake-ups between threads, atomics, counts of live objects."""
