"""WSGI 1.0.1 (PEP 3333): environ, bodies, responses."""
