"""One request and its one response."""
