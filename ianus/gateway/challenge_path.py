"""The path of an http-01 challenge (RFC 8555 section 8.3)."""

import re

# The token has the alphabet of base64url. No other path is an exception from rules for requests without TLS: an
# application could take `..` in it for another path.
CHALLENGE_PATH = re.compile(rb"/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,200})")
