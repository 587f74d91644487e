"""Fuzzing, guided by coverage and under sanitizers. `make fuzz` runs it; see docs/conformance.md.

Each module that is named in TARGETS has `check(data)`, which raises for an input that breaks the contract in the
module's docstring, and `seeds()`. corpus/TARGET/ has inputs that reach more than the seeds, findings/TARGET/ has
inputs of failures that were fixed. `make test` tries all of them again.
"""

from pathlib import Path

TARGETS = (
    "http1_requests",
    "http1_responses",
    "hpack_blocks",
    "http2_frames",
    "websocket_frames",
    "access_log",
    "proxy_headers",
    "forwarded_fields",
    "settings",
    "tls_records",
)

CORPUS = Path(__file__).parent / "corpus"
FINDINGS = Path(__file__).parent / "findings"
