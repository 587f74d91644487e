"""Formats of access logs of other servers, in the atoms of Ianus, which are Gunicorn's."""

import re

# The target of a request with its query, for which Ianus has an atom only in the request line.
_TARGET = "%(U)s?%(q)s"


def remark_on(access_log_format: str) -> str:
    """Returns the difference of a converted format to that of the other server; "" if there is none."""
    return "a target without a query ends in ?" if "?%(q)s" in access_log_format else ""


_GRANIAN = {
    "addr": "%(h)s",
    "time": "%(t)s",
    "method": "%(m)s",
    "path": "%(U)s",
    "query_string": "%(q)s",
    "protocol": "%(H)s",
    "status": "%(s)s",
    "dt_ms": "%(M)s",
}


def granian_format(text: str) -> str:
    """Converts Granian's %(name)s. Its time is in brackets of the format, and those of Ianus has them itself."""

    def convert(match: re.Match[str]) -> str:
        return _GRANIAN.get(match[1], f"%({{{match[1]}}}i)s")

    return re.sub(r"%\((\w+)\)[-+ #0-9.]*[a-z]", convert, text.replace("[%(time)s]", "%(time)s"))


# Its request line %(r)s is without the query, and %(R)s has it.
_HYPERCORN = {"r": "%(m)s %(U)s %(H)s", "R": "%(r)s", "Uq": _TARGET, "st": "-", "S": "-"}


def hypercorn_format(text: str) -> str:
    """Converts Hypercorn's %(name)s, which are Gunicorn's with a few others."""
    text = text.replace("%(m)s %(Uq)s %(H)s", "%(R)s")
    return re.sub(r"%\((\w+)\)s", lambda match: _HYPERCORN.get(match[1], match[0]), text)


_APACHE = {
    "h": "%(h)s",
    "a": "%(h)s",
    "l": "%(l)s",
    "u": "%(u)s",
    "t": "%(t)s",
    "r": "%(r)s",
    "s": "%(s)s",
    "b": "%(b)s",
    "B": "%(B)s",
    "O": "%(B)s",
    "m": "%(m)s",
    "U": "%(U)s",
    "q": "?%(q)s",
    "H": "%(H)s",
    "T": "%(T)s",
    "D": "%(D)s",
    "P": "%(p)s",
    "%": "%%",
}


def apache_format(text: str) -> str:
    """Converts Apache's %h, %{name}i."""

    def convert(match: re.Match[str]) -> str:
        name, letter = match[1], match[2]
        if name and letter in "io":
            return f"%({{{name.lower()}}}{letter})s"
        return _APACHE.get(letter, "-") if not name else "-"

    return re.sub(r"%[<>]?(?:\{([^}]*)\})?([A-Za-z%])", convert, text.replace('\\"', '"').replace("%m %U%q %H", "%r"))


_UWSGI = {
    "request": "%(r)s",
    "addr": "%(h)s",
    "user": "%(u)s",
    "ltime": "%(t)s",
    "ctime": "%(t)s",
    "ftime": "%(t)s",
    "time": "%(t)s",
    "method": "%(m)s",
    "uri": _TARGET,
    "proto": "%(H)s",
    "status": "%(s)s",
    "rsize": "%(B)s",
    "size": "%(B)s",
    "referer": "%(f)s",
    "uagent": "%(a)s",
    "host": "%({host}i)s",
    "msecs": "%(M)s",
    "micros": "%(D)s",
    "secs": "%(T)s",
    "pid": "%(p)s",
}


def uwsgi_format(text: str) -> str:
    """Converts uWSGI's %(name)."""

    def convert(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("var.HTTP_"):
            return f"%({{{name.removeprefix('var.HTTP_').replace('_', '-').lower()}}}i)s"
        return _UWSGI.get(name, "-")

    text = text.replace("[%(ltime)]", "%(ltime)").replace("%(method) %(uri) %(proto)", "%(request)")
    return re.sub(r"%\(([\w.]+)\)", convert, text)


_UNIT = {
    "remote_addr": "%(h)s",
    "time_local": "%(t)s",
    "request_line": "%(r)s",
    "method": "%(m)s",
    "request_uri": _TARGET,
    "uri": "%(U)s",
    "status": "%(s)s",
    "body_bytes_sent": "%(B)s",
    "header_referer": "%(f)s",
    "header_user_agent": "%(a)s",
    "host": "%({host}i)s",
    "request_time": "%(L)s",
    "request_id": "%({x-request-id}i)s",
}


def unit_format(text: str) -> str:
    """Converts NGINX Unit's $name."""

    def convert(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in _UNIT:
            return _UNIT[name]
        return f"%({{{name.removeprefix('header_').replace('_', '-')}}}i)s" if name.startswith("header_") else "-"

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", convert, text.replace("[$time_local]", "$time_local"))
