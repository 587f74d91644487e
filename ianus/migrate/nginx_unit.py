"""NGINX Unit: its configuration in JSON."""

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from ianus.migrate.log_formats import remark_on, unit_format
from ianus.migrate.migration import Migration, MigrationError
from ianus.migrate.unit_routes import Destination, read_routing, table_of, texts_of

SERVER = "NGINX Unit"

_APPLICATION_ADVICE = {
    "isolation": "Use a container, or the settings of systemd for a service (RootDirectory=, PrivateTmp=).",
    "stdout": "Standard output of the application is that of the server.",
    "stderr": "Standard error of the application is that of the server.",
    "thread_stack_size": "Threads have the system's stack size (ulimit -s).",
}

# Settings of an application that have no effect on its process, or that a mount has for itself.
_OF_MOUNT = frozenset(["type", "module", "callable", "prefix", "protocol", "factory", "path", "environment", "targets"])

# Settings of an application with a counterpart, or with advice.
_KNOWN = (
    _OF_MOUNT
    | _APPLICATION_ADVICE.keys()
    | {"home", "threads", "user", "group", "working_directory", "processes", "limits"}
)

_HTTP_SETTINGS = {
    "header_read_timeout": "timeout_request_header",
    "body_read_timeout": "timeout_request_body",
    "send_timeout": "timeout_write",
    "idle_timeout": "timeout_keep_alive",
    "max_body_size": "max_request_body_size",
    "server_version": "server_header",
    "body_temp_path": "spool_dir",
    "large_header_buffer_size": "limit_request_field_size",
}


def migrate_json(migration: Migration, content: object, path: str) -> None:
    """Migrates a configuration. Raises MigrationError."""
    # The whole of the control API, and the part of it that most files have.
    if isinstance(content, dict) and isinstance(content.get("config"), dict):
        content = content["config"]
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("applications"), (dict, type(None)))
        or not content.keys() & {"listeners", "routes", "applications"}
    ):
        raise MigrationError(f'{path} is not a configuration of NGINX Unit: it has no object "applications".')
    applications = table_of(content, "applications")
    kinds = [str(each.get("type", "python")) for each in applications.values() if isinstance(each, dict)]
    if kinds and not any(kind.startswith("python") for kind in kinds):
        raise MigrationError(f"{path} has no application in Python, but {', '.join(dict.fromkeys(kinds))}.")
    served = _serve_listeners(migration, content, applications)
    for name, application in applications.items():
        if name in served:
            continue
        if isinstance(application, dict) and not _is_python(application):
            migration.note(f"applications/{name}", f"Its type is {application.get('type')}; Ianus serves Python alone.")
        else:
            migration.note(
                f"applications/{name}",
                "One server has one application at /. Serve this one with a server of its own, from a file with this"
                " application and its listener alone.",
            )
    _apply_http_settings(migration, table_of(table_of(content, "settings"), "http"))
    _note_others(migration, "settings", table_of(content, "settings"), {"http"})
    _note_others(migration, "", content, {"listeners", "routes", "applications", "settings", "access_log"})
    _apply_access_log(migration, content.get("access_log"))
    _finish(migration)


def _serve_listeners(
    migration: Migration, content: Mapping[str, Any], applications: Mapping[str, Any]
) -> Sequence[str]:
    """Applies the listeners of one application; returns the names of the applications that are served."""
    first = ""
    served: list[str] = []
    for address, listener in table_of(content, "listeners").items():
        if not isinstance(listener, dict):
            continue
        target = str(listener.get("pass", ""))
        if first and target != first:
            migration.note(f"listeners/{address}", f"It passes to {target}; serve that with a server of its own.")
            continue
        kind, _, name = target.partition("/")
        application = applications.get(name.partition("/")[0])
        if kind == "applications" and isinstance(application, dict) and not _is_python(application):
            migration.note(f"listeners/{address}", f"It passes to {target}, which is not an application in Python.")
            continue
        if not first:
            first = target
            served = _serve(migration, target, content, applications)
        migration.set("bind", re.sub(r"^\*:", "0.0.0.0:", address), f"listeners/{address}")
        _apply_listener(migration, address, listener)
    return served


def _apply_listener(migration: Migration, address: str, listener: Mapping[str, Any]) -> None:
    known = {"pass", "tls", "forwarded", "client_ip", "backlog"}
    _note_others(migration, f"listeners/{address}", listener, known)
    if "backlog" in listener:
        migration.set("backlog", listener["backlog"], f"listeners/{address}/backlog")
    if "tls" in listener:
        migration.note(
            f"listeners/{address}/tls",
            "Write the certificate and its key into files, and name them in ssl_certfile and ssl_keyfile.",
        )
    forwarded = listener.get("forwarded")
    if isinstance(forwarded, dict):
        written = f"listeners/{address}/forwarded"
        sources = texts_of(forwarded.get("source"))
        if any(each.startswith("!") or "-" in each for each in sources):
            migration.note(written, "Only addresses and networks can be trusted; name them in forwarded_allow_ips.")
        else:
            migration.set("forwarded_allow_ips", ",".join(sources), written)
        fields = {"client_ip": "for", "protocol": "proto"}
        if forwarded.get("recursive") is False:
            migration.note(
                f"{written}/recursive = False", "The client is the last address that is not a trusted proxy."
            )
        _note_others(migration, written, forwarded, {"source", "recursive", *fields})
        given = {key: str(forwarded[key]) for key in fields if key in forwarded}
        migration.set("forwarded_fields", ",".join(fields[key] for key in given), written)
        for key, header in given.items():
            if header.lower() != f"x-forwarded-{fields[key]}":
                migration.note(f"{written}/{key} = {header}", f"Let the proxy send X-Forwarded-{fields[key].title()}.")
    elif "client_ip" in listener:
        migration.note(f"listeners/{address}/client_ip", "Write the addresses of its source in forwarded_allow_ips.")


def _serve(migration: Migration, target: str, content: Mapping[str, Any], applications: Mapping[str, Any]) -> list[str]:
    """Applies the application or the route that a listener passes to; returns the applications that it names."""
    kind, _, rest = target.partition("/")
    if kind == "applications":
        name, _, entry = rest.partition("/")
        if not isinstance(applications.get(name), dict):
            raise MigrationError(f"{target}: there is no such application.")
        _apply_application(migration, Destination(name, entry), applications)
        return [name]
    if kind != "routes":
        migration.note(f"pass {target}", "Requests can be passed to applications alone; use a proxy for others.")
        return []

    def prefix_of(target: Destination) -> str | None:
        application = applications.get(target.name)
        if not isinstance(application, dict) or not _is_python(application):
            return None
        return str(_settings_of(applications, target).get("prefix", "")).rstrip("/")

    routing = read_routing(content, target, prefix_of)
    migration.notes.extend(routing.notes)
    if routing.main is not None:
        _apply_application(migration, routing.main, applications)
    for prefix, mounted in routing.mounts.items():
        _apply_mount(migration, prefix, mounted, routing.main, applications)
    served = [target.name for target in (routing.main, *routing.mounts.values()) if target is not None]
    return [*served, *routing.unreachable]


def _is_python(application: Mapping[str, Any]) -> bool:
    return str(application.get("type", "python")).startswith("python")


def _settings_of(applications: Mapping[str, Any], target: Destination) -> Mapping[str, Any]:
    """Returns the settings of an application, with those of one of its `targets`."""
    application = table_of(applications, target.name)
    return {**application, **table_of(table_of(application, "targets"), target.entry)}


def _name_of(settings: Mapping[str, Any]) -> str:
    return f"{settings.get('module', '')}:{settings.get('callable', 'application')}"


def _apply_application(migration: Migration, target: Destination, applications: Mapping[str, Any]) -> None:
    settings = _settings_of(applications, target)
    place = f"applications/{target.name}"
    migration.app = _name_of(settings)
    if settings.get("factory"):
        migration.set("factory", True)
    if settings.get("prefix"):
        migration.set("root_path_kept", settings["prefix"], f"{place}/prefix")
    if settings.get("protocol") in ("asgi", "wsgi"):
        migration.set("interface", settings["protocol"])
    paths = texts_of(settings.get("path"))
    if paths:
        migration.set("pythonpath", paths, f"{place}/path")
    if "working_directory" in settings:
        migration.set("chdir", settings["working_directory"], f"{place}/working_directory")
    if "home" in settings:
        migration.note(f"{place}/home", f"Start the program of that environment: {settings['home']}/bin/ianus")
    for key in ("threads", "user", "group"):
        if key in settings:
            migration.set(key, settings[key], f"{place}/{key}")
    migration.set_variables({name: str(value) for name, value in table_of(settings, "environment").items()})
    for key, advice in _APPLICATION_ADVICE.items():
        if key in settings:
            migration.note(f"{place}/{key}", advice)
    _apply_processes(migration, settings, place)
    _note_others(migration, place, settings, _KNOWN)


def _note_others(migration: Migration, place: str, content: Mapping[str, Any], known: Container[str]) -> None:
    """Notes the keys of an object that are not known."""
    for key, value in content.items():
        if key not in known:
            migration.note(f"{f'{place}/' if place else ''}{key} = {value}", "It has no counterpart; remove it.")


def _apply_mount(
    migration: Migration, prefix: str, target: Destination, main: Destination | None, applications: Mapping[str, Any]
) -> None:
    """Adds a mount, which shares the processes of the main application."""
    settings = _settings_of(applications, target)
    place = f"applications/{target.name}"
    name = f"{_name_of(settings)}{'()' if settings.get('factory') else ''}"
    migration.set("mount", f"{prefix}={name}", f"{place}/prefix = {prefix}")
    paths = texts_of(settings.get("path"))
    if paths:
        migration.set("pythonpath", paths, f"{place}/path")
    for variable, value in table_of(settings, "environment").items():
        if migration.environment.get(variable, str(value)) == str(value):
            migration.set_variables({variable: str(value)})
        else:
            migration.note(
                f"{place}/environment/{variable} = {value}",
                "The applications share their variables; rename it in one of them, or use a server for each.",
            )
    shared = _settings_of(applications, main) if main is not None else {}
    own = {key: value for key, value in settings.items() if key not in _OF_MOUNT and shared.get(key) != value}
    if own:
        migration.note(
            f"{place} {own}", "A mount shares the processes and the threads of the server; use a server for each."
        )


def _apply_processes(migration: Migration, settings: Mapping[str, Any], place: str) -> None:
    processes = settings.get("processes")
    if isinstance(processes, dict):
        migration.set("workers", processes.get("max", 1), f"{place}/processes/max")
        migration.note(
            f"{place}/processes = {processes}",
            "The number of workers is fixed; the threads of a worker start as they are needed.",
        )
    elif processes is not None:
        migration.set("workers", processes, f"{place}/processes")
    limits = table_of(settings, "limits")
    _note_others(migration, f"{place}/limits", limits, {"requests", "timeout"})
    if "requests" in limits:
        migration.set("max_requests", limits["requests"], f"{place}/limits/requests")
    if "timeout" in limits:
        migration.note(
            f"{place}/limits/timeout = {limits['timeout']}",
            "A request that runs too long is reported (stuck_report_after), but not ended. Set timeouts in the"
            " application.",
        )


def _apply_http_settings(migration: Migration, http: Mapping[str, Any]) -> None:
    for key, value in http.items():
        written = f"settings/http/{key} = {value}"
        if key in _HTTP_SETTINGS:
            migration.set(_HTTP_SETTINGS[key], value, written)
        elif key == "discard_unsafe_fields":
            migration.need_not(written, "such fields are dropped (header_map)")
        elif key == "static":
            migration.note(written, "Static files are not supported yet; serve them with a proxy or the application.")
        else:
            migration.need_not(written, "Ianus needs no such setting")


def _apply_access_log(migration: Migration, log: object) -> None:
    if isinstance(log, str):
        log = {"path": log}
    if not isinstance(log, dict) or "path" not in log:
        return
    migration.set("access_log", True)
    path = "-" if log["path"] in ("/dev/stdout", "/dev/fd/1") else log["path"]
    migration.set("access_logfile", path, "access_log/path")
    if isinstance(log.get("format"), str):
        text = unit_format(log["format"])
        migration.set("access_log_format", text, "access_log/format", remark_on(text))
    if "if" in log:
        migration.note(f"access_log/if = {log['if']}", "access_log_exclude omits responses for paths.")


def _finish(migration: Migration) -> None:
    """Adds the defaults of NGINX Unit."""
    if migration.value("interface") != "asgi":
        migration.default("threads", 1)
    if migration.value("forwarded_allow_ips") is None:
        migration.default("proxy_headers", False)
    migration.default("timeout_request_header", 30)
    migration.default("timeout_keep_alive", 180)
    migration.default("timeout_write", 30)
    migration.default("max_request_body_size", "8M")
    migration.default("access_log", False)
    if migration.value("access_log"):
        migration.default("access_log_format", '%(h)s - - %(t)s "%(r)s" %(s)s %(B)s "%(f)s" "%(a)s"')
