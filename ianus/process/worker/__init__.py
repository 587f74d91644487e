"""A process that serves requests."""
