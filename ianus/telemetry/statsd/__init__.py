"""Metrics for a statsd server, under Gunicorn's names."""
