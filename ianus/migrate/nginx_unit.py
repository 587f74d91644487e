"""NGINX Unit: its configuration in JSON."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ianus.migrate.log_formats import unit_format
from ianus.migrate.migration import Migration, MigrationError

SERVER = "NGINX Unit"

_APPLICATION_ADVICE = {
    "isolation": "Use a container, or the settings of systemd for a service (RootDirectory=, PrivateTmp=).",
    "stdout": "Standard output of the application is that of the server.",
    "stderr": "Standard error of the application is that of the server.",
    "thread_stack_size": "Threads have the system's stack size (ulimit -s).",
}

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
    if not isinstance(content, dict) or not isinstance(content.get("applications"), (dict, type(None))):
        raise MigrationError(f'{path} is not a configuration of NGINX Unit: it has no object "applications".')
    applications = _table(content, "applications")
    served = _serve_listeners(migration, content, applications)
    for name, application in applications.items():
        if name in served:
            continue
        if isinstance(application, dict) and not str(application.get("type", "python")).startswith("python"):
            migration.note(f"applications/{name}", f"Its type is {application.get('type')}; Ianus serves Python alone.")
        else:
            migration.note(
                f"applications/{name}",
                "One server has one application at /. Serve this one with a server of its own, from a file with this"
                " application and its listener alone.",
            )
    _apply_http_settings(migration, _table(_table(content, "settings"), "http"))
    _apply_access_log(migration, content.get("access_log"))
    _finish(migration)


def _serve_listeners(
    migration: Migration, content: Mapping[str, Any], applications: Mapping[str, Any]
) -> Sequence[str]:
    """Applies the listeners of one application; returns the names of the applications that are served."""
    first = ""
    served: list[str] = []
    for address, listener in _table(content, "listeners").items():
        if not isinstance(listener, dict):
            continue
        target = str(listener.get("pass", ""))
        if first and target != first:
            migration.note(f"listeners/{address}", f"It passes to {target}; serve that with a server of its own.")
            continue
        if not first:
            first = target
            served = _serve(migration, target, content, applications)
        migration.set("bind", re.sub(r"^\*:", "0.0.0.0:", address), f"listeners/{address}")
        _apply_listener(migration, address, listener)
    return served


def _apply_listener(migration: Migration, address: str, listener: Mapping[str, Any]) -> None:
    if "tls" in listener:
        migration.note(
            f"listeners/{address}/tls",
            "Write the certificate and its key into files, and name them in ssl_certfile and ssl_keyfile.",
        )
    forwarded = listener.get("forwarded")
    if isinstance(forwarded, dict):
        written = f"listeners/{address}/forwarded"
        sources = _texts(forwarded.get("source"))
        if any(each.startswith("!") or "-" in each for each in sources):
            migration.note(written, "Only addresses and networks can be trusted; name them in forwarded_allow_ips.")
        else:
            migration.set("forwarded_allow_ips", ",".join(sources), written)
        fields = {"client_ip": "for", "protocol": "proto"}
        given = {key: str(forwarded[key]) for key in fields if key in forwarded}
        migration.set("forwarded_fields", ",".join(fields[key] for key in given), written)
        for key, header in given.items():
            if header.lower() != f"x-forwarded-{fields[key]}":
                migration.note(f"{written}/{key} = {header}", f"Let the proxy send X-Forwarded-{fields[key].title()}.")
    elif "client_ip" in listener:
        migration.note(f"listeners/{address}/client_ip", "Write the addresses of its source in forwarded_allow_ips.")


def _serve(migration: Migration, target: str, content: Mapping[str, Any], applications: Mapping[str, Any]) -> list[str]:
    """Applies the application or the route that a listener passes to."""
    kind, _, rest = target.partition("/")
    if kind == "applications":
        name, _, entry = rest.partition("/")
        application = applications.get(name)
        if isinstance(application, dict):
            _apply_application(migration, name, application, entry)
            return [name]
        raise MigrationError(f"{target}: there is no such application.")
    if kind != "routes":
        migration.note(f"pass {target}", "Requests can be passed to applications alone; use a proxy for others.")
        return []
    routes = content.get("routes", [])
    steps = routes.get(rest, []) if isinstance(routes, dict) else routes
    served: list[str] = []
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict):
            served += _apply_step(migration, f"{target}[{index}]", step, applications, is_first=not served)
    return served


def _apply_step(
    migration: Migration, written: str, step: Mapping[str, Any], applications: Mapping[str, Any], *, is_first: bool
) -> list[str]:
    action, match = _table(step, "action"), _table(step, "match")
    if "share" in action:
        migration.note(
            f"{written}/share = {action['share']}",
            "Static files are not supported yet; serve them with a proxy or the application.",
        )
        return _apply_step(migration, written, {"action": _table(action, "fallback")}, applications, is_first=is_first)
    target = str(action.get("pass", ""))
    if not target.startswith("applications/"):
        if action:
            migration.note(
                f"{written}/action = {dict(action)}", "Let the proxy or a middleware of the application do it."
            )
        return []
    name, _, entry = target.removeprefix("applications/").partition("/")
    application = _table(applications, name)
    prefix = str(application.get("prefix", ""))
    uris = _texts(match.get("uri"))
    uri = uris[0] if len(uris) == 1 else ""
    if not match or (prefix and is_first):
        if is_first:
            _apply_application(migration, name, application, entry)
            return [name]
    elif prefix and uri.rstrip("*").rstrip("/") == prefix.rstrip("/"):
        migration.set("mount", f"{prefix}={_application_name(application, entry)}", f"{written}/match = {uri}")
        return [name]
    migration.note(
        f"{written}/match = {dict(match)}",
        f"{target} is not served: an application is chosen by a path alone, which it gets as its root path (mount)."
        " Let the proxy choose, with a server for each application.",
    )
    return []


def _application_name(application: Mapping[str, Any], target: str) -> str:
    chosen = _table(_table(application, "targets"), target) if target else application
    module, attribute = chosen.get("module", ""), chosen.get("callable", "application")
    return f"{module}:{attribute}"


def _apply_application(migration: Migration, name: str, application: Mapping[str, Any], target: str) -> None:
    kind = str(application.get("type", "python"))
    if not kind.startswith("python"):
        raise MigrationError(f"applications/{name}: its type is {kind}; Ianus serves Python alone.")
    chosen = _table(_table(application, "targets"), target) if target else {}
    migration.app = _application_name(application, target)
    settings = {**application, **chosen}
    place = f"applications/{name}"
    if settings.get("factory"):
        migration.set("factory", True)
    if settings.get("prefix"):
        migration.set("root_path_kept", settings["prefix"], f"{place}/prefix")
    if settings.get("protocol") in ("asgi", "wsgi"):
        migration.set("interface", settings["protocol"])
    paths = _texts(settings.get("path"))
    if paths:
        migration.set("pythonpath", paths, f"{place}/path")
    if "working_directory" in settings:
        migration.set("chdir", settings["working_directory"], f"{place}/working_directory")
    if "home" in settings:
        migration.note(f"{place}/home", f"Start the program of that environment: {settings['home']}/bin/ianus")
    for key in ("threads", "user", "group"):
        if key in settings:
            migration.set(key, settings[key], f"{place}/{key}")
    migration.set_variables({name: str(value) for name, value in _table(settings, "environment").items()})
    for key, advice in _APPLICATION_ADVICE.items():
        if key in settings:
            migration.note(f"{place}/{key}", advice)
    _apply_processes(migration, settings, place)


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
    limits = _table(settings, "limits")
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
        migration.set("access_log_format", unit_format(log["format"]), "access_log/format")
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


def _texts(value: object) -> list[str]:
    """Returns a text or a list of texts as a list."""
    return [value] if isinstance(value, str) else list(map(str, value)) if isinstance(value, list) else []


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
