"""Reason phrases of status codes (RFC 9110 section 15), the same on all versions of Python."""

from http import HTTPStatus

# Four phrases have changed with RFC 9110; `http` has the new ones since Python 3.13.
REASONS: dict[int, str] = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
