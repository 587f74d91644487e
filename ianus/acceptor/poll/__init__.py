"""The readiness of descriptors, from the system's own interface: an abstract base, and a driver for each system."""
