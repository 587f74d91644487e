"""`ianus check`: drives an application by probes, checks it against its specification, and recommends settings."""
