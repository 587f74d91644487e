"""Parsers of settings whose values have further names in other servers."""

from ianus.settings.values import boolean, choice


def log_level(value: object) -> str:
    """Parses a level; further ones of other servers mean the next one."""
    further = {"trace": "debug", "notset": "debug", "warn": "warning"}
    return _LOG_LEVELS(further.get(value.lower(), value) if isinstance(value, str) else value)


_LOG_LEVELS = choice("critical", "error", "warning", "info", "debug")


def header_map(value: object) -> str:
    """Parses the treatment of fields with _ in their names."""
    if value == "refuse":
        raise ValueError("'refuse' is not supported; write drop, which removes such fields from requests.")
    return _HEADER_MAPS(value)


_HEADER_MAPS = choice("drop", "dangerous")


def stop_seconds(value: object) -> str:
    """Converts the time of a stop; 0 of other servers ends requests at once, and is not the absence of a limit."""
    if str(value) in ("0", "0.0"):
        raise ValueError(f"{value} would wait for requests without a limit; write 1 to end them soon.")
    return str(value)


def proxy_protocol(value: object) -> str:
    """Parses the versions of the PROXY protocol; true and false, as in older servers, are auto and off."""
    if isinstance(value, bool):
        return "auto" if value else "off"
    return choice("off", "v1", "v2", "auto")(value)


def interface(value: object) -> str:
    """Parses the interface of the application."""
    if value == "asginl":
        raise ValueError("'asginl' is asgi without a lifespan; write --interface asgi --lifespan off.")
    if value == "rsgi":
        raise ValueError("'rsgi' is an interface of Granian alone; serve the application by asgi.")
    return _INTERFACES(value)


_INTERFACES = choice("auto", "asgi", "asgi3", "asgi2", "wsgi")


def http(value: object) -> str:
    """Parses the versions of HTTP; the names of the parsers that Uvicorn offers all mean auto."""
    text = str(value)
    if text in ("h11", "httptools", "zttp"):
        return "auto"
    if ":" in text:
        raise ValueError(f"{text!r} is an address; write --bind {text} to listen there.")
    return _HTTP("1" if text in ("1.1", "h1") else text)


_HTTP = choice("auto", "1", "2")


def http_protocols(value: object) -> str:
    """Converts a list such as h1,h2 to the versions of HTTP. Raises ValueError."""
    names = sorted({name.strip() for name in str(value).split(",")})
    if names == ["h1"]:
        return "1"
    if names == ["h2"]:
        return "2"
    if names == ["h1", "h2"]:
        return "auto"
    raise ValueError(f"{value!r} has a version that is not supported; write h1 or h2.")


def websockets(value: object) -> str:
    """Parses --ws; the names of the libraries that Uvicorn offers all mean auto, and Granian has a switch."""
    if isinstance(value, str) and value.lower() in ("websockets", "websockets-sansio", "wsproto"):
        return "auto"
    if isinstance(value, bool) or value in ("0", "1", "true", "false"):
        return "auto" if boolean(value) else "none"
    return _WEBSOCKETS(value)


_WEBSOCKETS = choice("auto", "none")
