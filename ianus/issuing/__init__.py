"""Makes certificates: self-signed ones for development, and those of certificate authorities by ACME."""
