"""The process that starts, watches and replaces workers."""
