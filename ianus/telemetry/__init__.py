"""Logs, the data of the scoreboard, and the liveness thread."""
