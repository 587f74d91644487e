"""The result of a migration: settings, defaults that differ, and options without an equivalent.

The table of settings and the options of foreign_options.py are the truth for names that Ianus accepts. A server's
module adds only the options whose meaning differs.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ianus.errors import StartupError, closest_match
from ianus.settings.foreign_options import IGNORED_BY_FLAG, flag_of, hint
from ianus.settings.layers import Given, make_layer
from ianus.settings.schema import EXTRA_INPUTS, NAMES, table
from ianus.settings.setting import Setting
from ianus.settings.tls_values import PROTECTING
from ianus.settings.values import TcpBind, UnixBind, boolean_to_text

# A variable of a shell, or a part of one that the shell computes.
_VARIABLE = re.compile(r"\$\{?(\w+)|\$\(|`")

# An address without a host.
_EMPTY_HOST = re.compile(r"^(tcp://)?:(?!:)")

# Each address of the machine, and the servers that do not start with it.
_STAR_HOST = re.compile(r"^(tcp://)?\*(:|$)")
_WITHOUT_STAR = ("Gunicorn", "Hypercorn", "Granian", "Daphne")

# Variables that Ianus reads as other servers do, and the settings of them.
_READ_VARIABLES = {"port": "PORT", "workers": "WEB_CONCURRENCY", "forwarded_allow_ips": "FORWARDED_ALLOW_IPS"}


class MigrationError(StartupError):
    """A configuration cannot be read."""

    exit_code = 2
    page = "migrating"


class Entry(NamedTuple):
    """A setting. value: checked. comment: a remark for the line, or ""."""

    value: object
    comment: str = ""


class Note(NamedTuple):
    """An option that is not a setting. written: as in the source. advice: one or a few sentences."""

    written: str
    advice: str


class Expansion(NamedTuple):
    """Parts of a command that the program which starts it computes.

    program: its name in texts. pattern: of such a part.
    """

    program: str
    pattern: re.Pattern[str]

    def replace_escapes(self, word: str) -> str:
        """Returns a word of the command as the server gets it, if it has no part to compute."""
        return word if self.pattern.search(word) else word.replace("%%", "%")


class Migration:
    """Collects the equivalent of one server's configuration.

    server: its name in texts.
    expansion: parts of values that a file cannot have.
    flags: the options of its command line.
    app: the application, as on the command line; "" if the source does not name it.
    settings: by the settings' own names.
    defaults: values of the server for settings that the source does not give.
    notes: options without an equivalent. unknown: those of them that the server itself does not have.
    unneeded: options whose effect Ianus has anyway.
    is_recognised: the source has a setting of the server, perhaps with a value that changes nothing.
    environment: variables that the source sets for the application. env_files: files of such variables.
    files: configuration files that a command names.
    host: the host to listen on, if the variable PORT has the port; "" if `bind` has the address.
    """

    def __init__(self, server: str, expansion: Expansion | None = None, flags: Iterable[str] = ()) -> None:
        self.server = server
        self._flags = flags
        self._expansion = expansion
        self.app = ""
        self.settings: dict[str, Entry] = {}
        self.defaults: dict[str, object] = {}
        self.notes: list[Note] = []
        self.unknown: list[Note] = []
        self.is_recognised = False
        self.unneeded: list[Note] = []
        self.environment: dict[str, str] = {}
        self.env_files: list[str] = []
        self.host = ""
        self.files: list[str] = []
        self._halves: dict[str, object] = {}
        self._halves_written: list[str] = []
        self._variable_ports: dict[str, str] = {}  # addresses with the variable PORT, by the options
        self._tls_binds: tuple[object, ...] = ()
        self._has_expanded_address = False
        self._has_star = False
        self._written: dict[str, str] = {}  # settings as the source has them

    def set(self, name: str, value: object, written: str = "", comment: str = "") -> None:
        """Sets a setting, by any of its names. The last of several values wins, unless the setting takes several.

        A value that the setting cannot have becomes a note.
        """
        written = written or f"{name} = {value!r}"
        if isinstance(value, str) and name in ("bind", "insecure_bind"):
            # The other servers listen on IPv4 alone there, and Ianus on IPv6 as well.
            value = _EMPTY_HOST.sub(r"\g<1>0.0.0.0:", value) or "0.0.0.0:8000"
        if isinstance(value, str) and name in ("bind", "insecure_bind", "host"):
            self._has_star |= _STAR_HOST.match(value) is not None
        if isinstance(value, str) and _VARIABLE.search(value) and NAMES[name].input != "access_log_format":
            self._note_variable(name, value, written)
            return
        if self._is_expanded(value) and NAMES[name].input != "access_log_format":
            self._note_expansion(name, str(value), written)
            return
        try:
            layer = make_layer([Given(name, value, written, written)], NAMES)
        except StartupError as error:
            problem = error.message.removeprefix(f"{written}: ")
            self.note(written, sentence(problem))
            return
        for key, given in layer.items():
            if key in EXTRA_INPUTS:
                self._take_input(key, given.value, written)
                continue
            known: object = given.value
            if NAMES[key].setting.repeatable and key in self.settings:
                before = self.settings[key].value
                assert isinstance(before, tuple)
                assert isinstance(known, tuple)
                known = (*before, *(each for each in known if each not in before))
            self._written[key] = written
            self.settings[key] = Entry(known, comment or self.settings.get(key, Entry(None)).comment)

    def set_tls_bind(self, address: str, written: str) -> None:
        """Adds an address with TLS, for a server that serves its other addresses without."""
        before = self._binds()
        self.set("bind", address, written)
        self._tls_binds += tuple(each for each in self._binds() if each not in before)

    def _take_input(self, name: str, value: Any, written: str) -> None:
        """Takes a value that is not a setting. value: checked."""
        if name in ("host", "port"):
            self._halves[name] = value
            self._halves_written.append(written)
        elif name == "app":
            self.app = value
        elif name == "env":
            self.set_variables(dict(each.split("=", 1) for each in value))
        elif name == "env_file":
            self.env_files += [each for each in value if each not in self.env_files]
        else:
            self.note(written, "A file of settings cannot name another one; give that file to `ianus migrate`.")

    def option(self, name: str, value: object, written: str) -> None:
        """Translates an option that has the same meaning here, as the shared tables describe it.

        name: with underscores. value: True for a switch.
        """
        if name in NAMES:
            self.set(name, value, written)
            return
        positive = name.removeprefix("no_")
        if positive != name and positive in NAMES and NAMES[positive].setting.to_text is boolean_to_text:
            self.set(positive, False, written)
            return
        ignored = IGNORED_BY_FLAG.get(flag_of(name))
        if ignored is None:
            if advice := hint(name):
                self.note(written, advice)
            else:
                near = closest_match(re.split("[ =]", written)[0], self._flags)
                question = f" Did you mean {near}?" if near else ""
                self.note_unknown(written, f"Ianus does not know this option of {self.server}.{question}")
        elif reason := ignored.reason_for(str(value)):
            self.need_not(written, reason)
        else:
            self.note(written, sentence(ignored.remedy_for(str(value))))

    def default(self, name: str, value: object) -> None:
        """Notes a default of the server that differs from that of Ianus."""
        self.defaults[name] = NAMES[name].setting.check(value)

    def default_http2(self) -> None:
        """Notes HTTP/2 as of a server that accepts it without TLS, too."""
        if self.value("http") in (None, "auto") and not self.value("ssl_certfile"):
            self.default("http2_cleartext", True)

    def check(self) -> None:
        """Makes notes of an application and of settings that the server cannot use, and remarks on addresses."""
        self._check_app()
        self._check_tls()
        if self._has_star and self.server in _WITHOUT_STAR:
            for name in ("bind", "insecure_bind"):
                if name in self.settings:
                    comment = f"* is each address of IPv4 and IPv6; {self.server} does not start with it"
                    self.settings[name] = self.settings[name]._replace(comment=comment)

    def _check_tls(self) -> None:
        """Makes notes of settings that have no effect without a certificate."""
        has_certificate = any("ssl_certfile" in note.advice.lower().replace("-", "_") for note in self.notes)
        if "ssl_certfile" in self.settings or has_certificate:
            if "ssl_ca_certs" in self.settings and "ssl_cert_reqs" not in self.settings:
                comment = f"{self.server} asks no client for a certificate; write required if it should"
                self.settings["ssl_cert_reqs"] = Entry("none", comment)
            return
        if "ssl_keyfile" in self.settings:
            self.note("ssl_keyfile", "The key has no effect without a certificate; name it in ssl_certfile.")
            return
        for name in PROTECTING["ssl_certfile"]:
            if name in self.settings:
                del self.settings[name]
                self.note(
                    self._written[name],
                    f"It has no effect without a certificate in {self.server}, and Ianus does not start with it alone:"
                    " write it beside ssl_certfile, or omit it.",
                )

    def _check_app(self) -> None:
        """Makes a note of an application that a shell has to compute."""
        if _VARIABLE.search(self.app):
            self.note(self.app, f'A file cannot have variables of a shell; start with the line `ianus "{self.app}"`.')
            self.app = ""
        elif self._expansion is not None and self._is_expanded(self.app):
            self.note(self.app, f"{self._expansion.program} computes it; keep it in the command: ianus {self.app}")
            self.app = ""

    def note(self, written: str, advice: str) -> None:
        self.notes.append(Note(written, advice))

    def note_unknown(self, written: str, advice: str) -> None:
        """Notes an option that the server does not have."""
        self.note(written, advice)
        self.unknown.append(self.notes[-1])

    def need_not(self, written: str, reason: str) -> None:
        self.unneeded.append(Note(written, sentence(reason)))

    def drop(self, name: str, reason: str) -> None:
        """Removes a setting that has no effect in the server."""
        del self.settings[name]
        self.need_not(self._written[name], reason)

    def set_variables(self, variables: Mapping[str, str], read: Mapping[str, str] = MappingProxyType({})) -> None:
        """Adds variables of the application's environment.

        read: those that the server reads itself, and the settings that they stand for.
        """
        for name, value in variables.items():
            if name in read:
                self.set(read[name], f"0.0.0.0:{value}" if name == "PORT" else value, f"{name}={value}")
            elif self._expansion is not None and self._is_expanded(value):
                self.note(
                    f"{name}={value}",
                    f"{self._expansion.program} computes it; keep it in the command: ianus --env {name}={value}",
                )
            elif _VARIABLE.search(value):
                self.note(f"{name}={value}", "A file cannot have variables of a shell; set it in the environment.")
            else:
                self.environment[name.strip()] = value

    def set_start_variable(self, name: str, value: str) -> None:
        """Applies a variable that is read as the process starts."""
        written = f"{name}={value}"
        if name != "PYTHONPATH":
            self.note(written, "It is read as the process starts; set it in front of `ianus`, as before.")
            return
        for path in value.split(":"):
            # Ianus has the paths of its own variable anyway.
            if path not in ("", "$PYTHONPATH", "${PYTHONPATH}"):
                self.set("pythonpath", path, written)

    def join_address(self, host: str, port: int, *, is_additional: bool = False, empty_host: str = "") -> None:
        """Joins the halves of an address, and separates addresses with TLS from others.

        host, port: the server's own defaults. is_additional: whether the server listens there beside other addresses.
        empty_host: the meaning of an empty host; "" is IPv4 and IPv6.
        """
        if self._halves.get("host") == "":
            self._halves["host"] = empty_host
        self._join_halves(host, port, is_additional)
        plain = tuple(each for each in self._binds() if each not in self._tls_binds)
        if self._tls_binds and plain:
            self.settings["insecure_bind"] = Entry(plain)
            self.settings["bind"] = Entry(self._tls_binds)

    def _join_halves(self, host: str, port: int, is_additional: bool) -> None:
        for written, value in self._variable_ports.items():
            if "bind" in self.settings:
                self.note(
                    written,
                    "A file cannot have variables of a shell; start with all addresses in the variable"
                    f' {"IANUS_INSECURE_BIND" if self._tls_binds else "IANUS_BIND"}, of which one is "{value}".',
                )
            else:
                self.need_not(written, "the port is that of the variable PORT")
        if self._variable_ports and "bind" not in self.settings:
            self.host = str(self._halves.get("host", host))
        elif self._halves and (is_additional or "bind" not in self.settings):
            given_host, given_port = self._halves.get("host", host), self._halves.get("port", port)
            assert isinstance(given_host, str)
            assert isinstance(given_port, int)
            address = TcpBind(given_host, given_port)
            self.settings["bind"] = Entry((*(each for each in self._binds() if each != address), address))
        elif self._halves:
            for written in self._halves_written:
                self.need_not(written, "another option has the address, which is in bind")
        elif "bind" not in self.settings and not self._is_bind_noted() and not self._has_expanded_address:
            self.default("bind", [f"{host}:{port}"])

    def is_empty(self) -> bool:
        """Returns whether the source has given nothing that the server has."""
        variables = self.environment or self.env_files
        known = [note for note in self.notes if note not in self.unknown]
        return not (self.is_recognised or self.app or self.settings or known or self.unneeded or variables)

    def value(self, name: str) -> object:
        """Returns the value of a setting that the source gives, or None."""
        return self.settings[name].value if name in self.settings else None

    def has(self, name: str) -> bool:
        """Returns whether the source gives a setting, or an address with the variable PORT."""
        return name in self.settings or (name == "bind" and bool(self._variable_ports))

    def has_unix_socket(self) -> bool:
        """Returns whether one of the addresses is a Unix socket."""
        return any(isinstance(each, UnixBind) for each in self._binds())

    def differing_defaults(self) -> Mapping[str, object]:
        """Returns the server's defaults that no setting overrides, and that are not the defaults of Ianus."""
        ours = {name: default for name, _, default in table()}
        return {
            name: value for name, value in self.defaults.items() if name not in self.settings and value != ours[name]
        }

    def _binds(self) -> tuple[object, ...]:
        binds = self.value("bind")
        return binds if isinstance(binds, tuple) else ()

    def _is_bind_noted(self) -> bool:
        return any("IANUS_BIND" in note.advice for note in self.notes)

    def _is_expanded(self, value: object) -> bool:
        if self._expansion is None:
            return False
        texts = value if isinstance(value, (list, tuple)) else [value]
        return any(isinstance(each, str) and self._expansion.pattern.search(each) for each in texts)

    def _note_expansion(self, name: str, value: str, written: str) -> None:
        """Notes a value that the program which starts the server computes. It can stay in the command."""
        assert self._expansion is not None
        if NAMES[name].input == "bind":
            value = NAMES[name].alias.convert(value)  # --uds PATH is unix:PATH
        self._has_expanded_address |= NAMES[name].input in ("bind", "host", "port")
        self.note(
            written,
            f"{self._expansion.program} computes it, and a file cannot. Keep it in the command, which has"
            f" precedence: ianus {flag_of(NAMES[name].input)} {value}",
        )

    def _note_variable(self, name: str, value: str, written: str) -> None:
        """Notes a value that a shell has to compute: a file cannot have it."""
        setting = NAMES[name].input
        if setting in ("bind", "port") and (match := re.fullmatch(r"(?:(.*):)?\$(?:PORT|\{PORT(?::-8000)?\})", value)):
            self._variable_ports[written] = value if setting == "bind" else f"0.0.0.0:{value}"
            if setting == "bind":
                self._halves["host"] = "0.0.0.0" if match[1] in ("", "*") else match[1].strip("[]")
            return
        variable = _READ_VARIABLES.get(setting)
        if variable is not None and value in (f"${variable}", f"${{{variable}}}"):
            self.note(written, f"The variable {variable} is read without a setting.")
            return
        if setting == "port":
            setting = "bind"
            value = f"0.0.0.0:{value}"
        self.note(
            written,
            f'A file cannot have variables of a shell; start with the variable IANUS_{setting.upper()}="{value}".',
        )


def with_brackets(address: str) -> str:
    """Returns an address with brackets around a host of IPv6. Without a port it gets 8000."""
    host, _, port = address.rpartition(":")
    if ":" not in host or address.startswith(("unix:", "fd:", "tcp:", "[")):
        return address
    return f"[{host}]:{port}" if port.isdecimal() else f"[{address}]:8000"


def is_start_variable(name: str) -> bool:
    """Returns whether Python or the linker reads a variable as a process starts, so that `env` sets it too late."""
    return re.match(r"PYTHON[A-Z0-9]|LD_|MALLOC_", name) is not None


def sentence(text: str) -> str:
    """Formats the reason of a table as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def setting_of(name: str) -> Setting:
    """Returns the description of a setting by its own name."""
    return NAMES[name].setting


def index_advice(advice: Mapping[str, str]) -> dict[str, str]:
    """Maps each name to its advice. advice: by names with spaces between them."""
    return {name: sentences for names, sentences in advice.items() for name in names.split()}
