"""The one source of the version: the build, `ianus --version` and the banner read it here."""

__version__ = "0.1.0.dev0"
