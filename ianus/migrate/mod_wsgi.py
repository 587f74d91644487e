"""mod_wsgi-express: the command line of its start-server and setup-server."""

from collections.abc import Mapping, Sequence

from ianus.migrate.flags import FlagList
from ianus.migrate.log_formats import apache_format, remark_on
from ianus.migrate.migration import Migration, MigrationError, index_advice

SERVER = "mod_wsgi-express"

OPTIONS = FlagList(
    "--application-type= --entry-point= --application-group= --process-group= --host= --port= --http2"
    " --https-port= --ssl-port= --ssl-certificate-file= --ssl-certificate-key-file= --ssl-certificate="
    " --ssl-ca-certificate-file= --ssl-verify-client=+ --ssl-certificate-chain-file= --ssl-environment"
    " --https-only --hsts-policy= --server-name= --server-alias=+ --allow-localhost --processes= --threads="
    " --max-clients= --initial-workers= --minimum-spare-workers= --maximum-spare-workers= --limit-request-body="
    " --maximum-requests= --startup-timeout= --shutdown-timeout= --restart-interval= --cpu-time-limit="
    " --graceful-timeout= --eviction-timeout= --deadlock-timeout= --inactivity-timeout= --ignore-activity=+"
    " --request-timeout= --interrupt-timeout= --connect-timeout= --socket-timeout= --proxy-timeout="
    " --queue-timeout= --header-timeout= --header-max-timeout= --header-min-rate= --body-timeout="
    " --body-max-timeout= --body-min-rate= --server-backlog= --daemon-backlog= --send-buffer-size="
    " --receive-buffer-size= --header-buffer-size= --response-buffer-size= --response-socket-timeout="
    " --response-flush-delay= --enable-sendfile --disable-reloading --reload-on-changes --user= --group="
    " --callable-object= --map-head-to-get= --document-root= --directory-index= --directory-listing"
    " --allow-override= --mount-point= --url-alias==+ --error-document==+ --error-override --proxy-mount-point==+"
    " --proxy-url-alias==+ --proxy-virtual-host==+ --trust-proxy-header=+ --trust-proxy=+ --keep-alive-timeout="
    " --compress-responses --server-metrics --telemetry-service= --enable-telemetry --telemetry-ui-port="
    " --telemetry-interval= --slow-requests= --switch-interval= --free-threading --telemetry-options=+"
    " --server-status --host-access-script= --auth-user-script= --auth-type= --auth-group-script= --auth-group="
    " --include-file=+ --rewrite-rules= --envvars-script= --lang= --locale= --setenv==+ --passenv=+"
    " --working-directory= --pid-file= --server-root= --server-mpm= --log-directory= --log-level= --access-log"
    " --startup-log --verbose-debugging --log-to-terminal --access-log-format= --error-log-format="
    " --error-log-name= --access-log-name= --startup-log-name= --rotate-logs --max-log-size="
    " --rotatelogs-executable= --python-path=+ --python-eggs= --python-warnings=+ --shell-executable="
    " --httpd-executable= --process-name= --modules-directory= --mime-types= --socket-prefix= --add-handler==+"
    " --chunked-request --with-php5 --with-cgi --service-script==+ --service-user==+ --service-group==+"
    " --service-log-file==+ --orphan-interpreter --embedded-mode --enable-docs --debug-mode --enable-coverage"
    " --coverage-directory= --enable-profiler --profiler-directory= --enable-recorder --recorder-directory="
    " --enable-gdb --gdb-executable= --enable-debugger --debugger-startup --setup-only"
)

_TLS = "Every address of bind has TLS once ssl_certfile is given (`ianus docs tls`)."
_APACHE = "A module of Apache does this; put Apache, nginx or another proxy in front."
_RECOVERY = (
    "A call that runs too long is reported (stuck_report_after), but a thread cannot be ended. Set timeouts in the"
    " application. `timeout` replaces a worker that makes no progress at all."
)
_SERVICE = "Start it as a service of its own, beside Ianus; the server starts no other programs."
_DEBUG = "Start the application with the tool itself, as in `python -m cProfile -m ianus ...`."

ADVICE = index_advice(
    {
        "https_port ssl_port": _TLS,
        "https_only": "https_redirect redirects the clients of insecure_bind.",
        "hsts_policy": "hsts has this value, once there is a certificate.",
        "ssl_certificate_chain_file": "Append it to the file of the certificate.",
        "ssl_verify_client": 'ssl_cert_reqs = "required" asks for certificates at every path; "optional" lets the'
        " application decide.",
        "ssl_environment": "The variables SSL_CLIENT_... are in every environ (`ianus docs tls`).",
        "server_name server_alias": "Requests for every host are accepted; a proxy or the application can reject some.",
        "compress_responses": "Let the proxy compress, or a middleware of the application.",
        "document_root directory_index directory_listing url_alias": "Static files are not supported yet; serve them"
        " with a proxy or the application.",
        "error_document error_override proxy_mount_point proxy_url_alias proxy_virtual_host allow_override"
        " host_access_script auth_user_script auth_type auth_group_script auth_group include_file rewrite_rules"
        " add_handler with_php5 with_cgi": _APACHE,
        "request_timeout interrupt_timeout deadlock_timeout cpu_time_limit inactivity_timeout eviction_timeout"
        " ignore_activity": _RECOVERY,
        "graceful_timeout": "A worker that is replaced has the time of timeout_stop for its requests.",
        "connect_timeout queue_timeout proxy_timeout": "A request waits for a thread in the backlog, or in the queue of"
        " its worker; limit_concurrency answers with 503 instead.",
        "header_max_timeout body_max_timeout": "The whole time has no limit of its own; limit_body_rate is for slow"
        " bodies.",
        "server_metrics server_status telemetry_service enable_telemetry telemetry_ui_port telemetry_interval"
        " telemetry_options": "admin_bind has the state as JSON: /-/status.",
        "service_script service_user service_group service_log_file": _SERVICE,
        "envvars_script": "Set the variables in the environment, or in a file that --env-file names.",
        "lang locale": "Set the variable LANG.",
        "python_warnings": "Set the variable PYTHONWARNINGS.",
        "python_eggs": "Set the variable PYTHON_EGG_CACHE.",
        "map_head_to_get": "A HEAD request reaches the application as HEAD.",
        "startup_timeout": "The start of a worker has no limit; timeout_lifespan_startup is for ASGI applications.",
        "error_log_format": 'The format of the server log is fixed; log_format = "json" is another.',
        "rotate_logs max_log_size rotatelogs_executable": "Let logrotate do it; SIGUSR1 opens the log files again.",
        "enable_coverage coverage_directory enable_profiler profiler_directory enable_recorder recorder_directory"
        " enable_gdb gdb_executable enable_debugger debugger_startup debug_mode": _DEBUG,
        "free_threading": "Only builds of Python with the GIL are supported.",
    }
)

UNNEEDED = index_advice(
    {
        "application_group process_group orphan_interpreter embedded_mode server_mpm server_root httpd_executable"
        " modules_directory mime_types socket_prefix shell_executable setup_only enable_docs initial_workers"
        " minimum_spare_workers maximum_spare_workers": "there is no Apache",
        "allow_localhost": "requests for every host are accepted",
        "header_min_rate": "a head has timeout_request_header",
        "daemon_backlog send_buffer_size receive_buffer_size header_buffer_size response_buffer_size"
        " response_flush_delay": "buffers grow as needed",
        "disable_reloading": "files are watched with reload alone",
        "passenv": "the environment is passed on",
        "log_to_terminal": "logs are written to the standard streams",
        "startup_log startup_log_name verbose_debugging": "the start is logged in the server log",
        "chunked_request": "chunked requests are accepted",
        "access_log_name error_log_name": "access_logfile and error_logfile have the whole path",
        "enable_sendfile": "files are sent with sendfile()",
    }
)

RENAMED = {
    "max_clients": "limit_connections",
    "limit_request_body": "max_request_body_size",
    "maximum_requests": "max_requests",
    "shutdown_timeout": "timeout_stop",
    "restart_interval": "workers_lifetime",
    "socket_timeout": "timeout_write",
    "response_socket_timeout": "timeout_write",
    "header_timeout": "timeout_request_header",
    "body_timeout": "timeout_request_body",
    "body_min_rate": "limit_body_rate",
    "keep_alive_timeout": "timeout_keep_alive",
    "server_backlog": "backlog",
    "mount_point": "root_path_kept",
    "trust_proxy": "forwarded_allow_ips",
    "slow_requests": "stuck_report_after",
    "python_path": "pythonpath",
    "working_directory": "chdir",
    "ssl_certificate_file": "ssl_certfile",
    "ssl_certificate_key_file": "ssl_keyfile",
    "ssl_ca_certificate_file": "ssl_ca_certs",
    "reload_on_changes": "reload",
}

_LEVELS = {
    "emerg": "critical",
    "alert": "critical",
    "crit": "critical",
    "error": "error",
    "warn": "warning",
    "notice": "info",
    "info": "info",
}


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line. Raises MigrationError."""
    if not words or words[0] not in ("start-server", "setup-server"):
        raise MigrationError("mod_wsgi-express: only start-server and setup-server can be migrated.")
    flags, others = OPTIONS.parse(words[1:], migration.need_not, migration.note)
    given = {flag.name: flag.value or "" for flag in flags}
    for flag in flags:
        _apply(migration, flag.name, True if flag.value is None else flag.value, flag.written)
    if migration.value("ssl_ca_certs"):
        # The whole site requires a certificate then, or the paths of that option.
        migration.set("ssl_cert_reqs", "optional" if "ssl_verify_client" in given else "required")
    migration.set_variables(variables)
    _set_app(migration, given.get("entry_point") or (others[0] if others else ""), given)
    for other in others[1:]:
        migration.note(other, "One application is served at /; remove it.")
    _set_logs(migration, given)
    migration.join_address("0.0.0.0", 8000)
    migration.default("threads", 5)
    migration.default("max_request_body_size", "10M")
    migration.default("timeout_keep_alive", 2)
    migration.default("timeout_request_header", 15)
    migration.default("timeout_request_body", 15)
    migration.default("timeout_stop", 5)
    migration.default("log_level", "warning")
    if migration.value("forwarded_fields") is None:
        migration.default("proxy_headers", False)


def _apply(migration: Migration, name: str, value: object, written: str) -> None:
    if name in ("application_type", "entry_point", "callable_object", "access_log", "log_directory"):
        return  # _set_app() and _set_logs() read them together.
    if name in ADVICE:
        migration.note(written, ADVICE[name])
    elif name in UNNEEDED:
        migration.need_not(written, UNNEEDED[name])
    elif name == "setenv":
        name, _, content = str(value).partition(" ")
        migration.set_variables({name: content})
    elif name == "log_level":
        migration.set("log_level", _LEVELS.get(str(value), "debug"), written)
    elif name == "access_log_format":
        named = {
            "common": '%h %l %u %t "%r" %>s %b',
            "combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"',
        }
        text = apache_format(named.get(str(value), str(value)))
        migration.set("access_log_format", text, written, remark_on(text))
    elif name == "ssl_certificate":
        migration.set("ssl_certfile", f"{value}.crt", written)
        migration.set("ssl_keyfile", f"{value}.key", written)
    elif name == "trust_proxy_header":
        _apply_proxy_header(migration, str(value).lower(), written)
    else:
        migration.option(RENAMED.get(name, name), value, written)


def _apply_proxy_header(migration: Migration, name: str, written: str) -> None:
    field = name.removeprefix("x-forwarded-")
    if name in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"):
        known = migration.value("forwarded_fields")
        before = list(known) if isinstance(known, tuple) else []
        migration.set("forwarded_fields", ",".join([*before, field]), written)
        if migration.value("forwarded_allow_ips") is None:
            migration.note(
                written,
                "mod_wsgi-express believes every client, unless --trust-proxy names proxies. Ianus believes proxies on"
                " this machine; name another one in forwarded_allow_ips.",
            )
    else:
        migration.note(written, "Let the proxy send X-Forwarded-For and X-Forwarded-Proto.")


def _set_app(migration: Migration, path: str, given: Mapping[str, str]) -> None:
    attribute = given.get("callable_object", "")
    if not path or given.get("application_type", "script") not in ("script", "module"):
        if path:
            migration.note(path, f"An application of the type {given['application_type']} is not supported.")
        return
    migration.app = f"{path}:{attribute}" if attribute else path


def _set_logs(migration: Migration, given: Mapping[str, str]) -> None:
    folder = given.get("log_directory", "")
    if "access_log" in given:
        migration.set("access_log", True)
        if folder:
            migration.set("access_logfile", f"{folder}/{given.get('access_log_name', 'access_log')}")
        migration.default("access_log_format", '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s')
    else:
        migration.default("access_log", False)
    if folder and "log_to_terminal" not in given:
        migration.set("error_logfile", f"{folder}/{given.get('error_log_name', 'error_log')}")
