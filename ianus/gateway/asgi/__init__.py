"""ASGI 3.0 and 2: scopes, messages, lifespan, WebSocket."""
