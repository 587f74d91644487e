"""WebSocket as a codec (RFC 6455, RFC 7692): opening handshake, frames, compression."""
