"""One table of settings; the command line is built from it."""
