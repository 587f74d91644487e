"""The settings by gunicorn's names, for hooks that read `server.cfg` or `worker.cfg`."""

from typing import Any

from ianus.settings.foreign_files import GUNICORN, Renamed
from ianus.settings.schema import NAMES, Settings


class GunicornView:
    """Settings whose attributes have gunicorn's names. `bind` is a list of texts, other values are those of Ianus."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        if name == "accesslog":
            return self._settings.access_logfile if self._settings.access_log else None
        entry = GUNICORN.get(name)
        target = entry.setting if isinstance(entry, Renamed) else ""
        if target not in NAMES or NAMES[target].input not in Settings.__dataclass_fields__:
            raise AttributeError(f"cfg.{name} has no equivalent in Ianus; see `ianus docs hooks`")
        value = getattr(self._settings, NAMES[target].input)
        return [str(each) for each in value] if target == "bind" else value
