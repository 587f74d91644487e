"""The threads that call WSGI applications."""
