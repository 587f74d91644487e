"""The access log through Python's logging, for a --log-config that names an access logger.

Facts: filters and formatters that people have for other servers look into `record.args`: Uvicorn's is a tuple,
Gunicorn's a dictionary of its atoms. JSON formatters show attributes of the record.

Strategy: a line starts with the fields that records have, with tabs between them, which no field can contain. Then
follows the line of --access-log-format, which is the message.
"""

import json
import logging
from collections.abc import Mapping

from ianus.telemetry.line_format import DEFAULT, LineFormat
from ianus.telemetry.logger import SafeLogger

# Gunicorn's names, and those of the JSON access log.
_ATOMS = "hlutrmUqHsBbfaTDMLQp"
_PREFIX = "".join(f"%({atom})s\t" for atom in _ATOMS)

# Seconds between two writes: records have the time at which they are made.
INTERVAL_SECONDS = 0.1


class AccessRecords:
    """Makes a record of each line.

    name: of the logger; `args` are those of the server that uses it.
    """

    def __init__(self, name: str, *, access_log_format: str, log_format: str) -> None:
        self._name = name
        self._logger = SafeLogger(name)
        self._as_json = log_format == "json"
        text = "" if self._as_json else _PREFIX + (access_log_format or DEFAULT)
        self.line_format = LineFormat(access_log_format=text, log_format=log_format)
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET and not logger.isEnabledFor(logging.INFO):
            logger.setLevel(logging.INFO)  # The root logger's default is WARNING, and no line would be one.

    def __call__(self, lines: bytes) -> bytes:
        """Logs lines. Returns them as a file has them."""
        shown = []
        for line in lines.decode("utf-8", "replace").removesuffix("\n").split("\n"):
            if self._as_json:
                text, atoms = line, _atoms_of(json.loads(line))
            else:
                *fields, text = line.split("\t", len(_ATOMS))
                atoms = dict(zip(_ATOMS, fields, strict=True))
            self._log(text, atoms)
            shown.append(f"{text}\n")
        return "".join(shown).encode()

    def _log(self, text: str, atoms: dict[str, str]) -> None:
        target = f"{atoms['U']}?{atoms['q']}" if atoms["q"] not in ("", "-") else atoms["U"]
        extra = {
            "client": atoms["h"],
            "method": atoms["m"],
            "target": target,
            "protocol": atoms["H"],
            "status": int(atoms["s"]),
            "size": int(atoms["B"]),
            "duration": float(atoms["L"]),
            "queue_time": None if atoms["Q"] == "-" else float(atoms["Q"]),
        }
        # The message is the line, with any arguments.
        message = text.replace("%", "%%")
        if self._name == "uvicorn.access":
            version = atoms["H"].removeprefix("HTTP/")
            arguments = (atoms["h"], atoms["m"], target, version, int(atoms["s"]))
            self._logger.log(logging.INFO, message + "%.0s" * len(arguments), *arguments, extra=extra)
        else:
            self._logger.log(logging.INFO, message, atoms, extra=extra)


def _atoms_of(line: Mapping[str, object]) -> dict[str, str]:
    """Gunicorn's atoms of a JSON line."""

    def shown(key: str) -> str:
        return "-" if (value := line.get(key)) is None else str(value)

    path, _, query = shown("target").partition("?")
    duration = float(shown("duration"))
    return {
        "h": shown("client"),
        "l": "-",
        "u": "-",
        "t": f"[{shown('time')}]",
        "r": f"{shown('method')} {shown('target')} {shown('protocol')}",
        "m": shown("method"),
        "U": path,
        "q": query,
        "H": shown("protocol"),
        "s": shown("status"),
        "B": shown("size"),
        "b": shown("size"),
        "f": shown("referer"),
        "a": shown("user_agent"),
        "T": str(int(duration)),
        "M": str(int(duration * 1e3)),
        "D": str(int(duration * 1e6)),
        "L": shown("duration"),
        "Q": shown("queue_time"),
    }
