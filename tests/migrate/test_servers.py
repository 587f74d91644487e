"""Each option of another server becomes a setting, or a note with advice."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ianus.migrate import daphne, granian, gunicorn, hypercorn, mod_wsgi, uvicorn, waitress
from ianus.migrate.migration import Migration
from ianus.settings.foreign_options import HINTS, IGNORED_BY_FLAG, flag_of
from ianus.settings.schema import NAMES
from tests.migrate.pages import load_page, read_page
from tests.rows import for_each_row
from tests.settings.lines import run_line

pytestmark = pytest.mark.usefixtures("nowhere")

SERVERS: dict[str, ModuleType] = {
    "gunicorn": gunicorn,
    "uvicorn": uvicorn,
    "granian": granian,
    "hypercorn": hypercorn,
    "daphne": daphne,
    "waitress-serve": waitress,
    "mod_wsgi-express start-server": mod_wsgi,
}


@for_each_row("program", SERVERS)
def test_each_option_of_a_server_has_an_answer(program: str) -> None:
    server = SERVERS[program]
    # Their values are files, which do not exist.
    names = [name for name in server.OPTIONS.names() if name != "config"]
    assert len(names) > 15
    for name in names:
        flag = flag_of(name)
        page = read_page(*program.split(), flag, *["1"] * server.OPTIONS.flags()[flag], "main:app")
        assert "does not know" not in page.text, flag


@for_each_row("program", [program for program, server in SERVERS.items() if server is not mod_wsgi])
def test_each_option_of_a_server_is_known_on_the_line_of_ianus(program: str) -> None:
    for flag, count in SERVERS[program].OPTIONS.flags().items():
        output = run_line([flag, *["1"] * count, "main:app"], lambda *_: 0).output
        assert "lists all options" not in output, flag
        assert "Did you mean" not in output, flag


@for_each_row("program", SERVERS)
def test_a_server_has_advice_only_if_the_shared_tables_have_none(program: str) -> None:
    shared = {*HINTS, *IGNORED_BY_FLAG, *map(flag_of, NAMES)}
    # These mean something else in this server.
    own = {"hypercorn": {"logconfig_dict"}, "mod_wsgi-express start-server": {"server_name", "graceful_timeout"}}
    advice = set(getattr(SERVERS[program], "ADVICE", ())) - own.get(program, set())
    assert not {name for name in advice if flag_of(name) in shared}


@for_each_row(
    ("line", "expected"),
    [
        # Gunicorn
        ("gunicorn project.wsgi", {"app": "project.wsgi"}),
        ("gunicorn -w 4 -b 0.0.0.0 a:b", {"app": "a:b", "workers": 4, "bind": ["0.0.0.0:8000"]}),
        ("gunicorn -b :80 -b unix:/run/a.sock a", {"app": "a", "bind": ["0.0.0.0:80", "unix:/run/a.sock"]}),
        ("gunicorn -b tcp://:80,:81,[::]:82 a", {"app": "a", "bind": ["0.0.0.0:80", "0.0.0.0:81", "[::]:82"]}),
        ("gunicorn -p /run/a.pid -u www -g web a", {
            "app": "a", "pid_file": "/run/a.pid", "user": "www", "group": "web"}),
        ("gunicorn -m 007 a", {"app": "a", "umask": "7"}),
        ("gunicorn -m 18 a", {"app": "a", "umask": "22"}),
        ("gunicorn -e A=b --env C=d a", {"app": "a", "env": ["A=b", "C=d"]}),
        ("gunicorn --access-logfile /dev/null a", {"app": "a", "access_log": False}),
        ("gunicorn --access-logfile - a", {"app": "a", "access_log": True, "access_logfile": "-"}),
        ("gunicorn --graceful-timeout 0 a", {"app": "a", "timeout_stop": "1s"}),
        ("gunicorn --keep-alive 5 -t 60 a", {"app": "a", "timeout_keep_alive": "5s", "timeout": "1m"}),
        ("gunicorn --worker-connections 10 a", {"app": "a", "limit_connections": 10}),
        ("gunicorn --no-sendfile a", {"app": "a", "sendfile": False}),
        ("gunicorn --forwarded-allow-ips 10.0.0.1 a", {"app": "a", "forwarded_allow_ips": "10.0.0.1,unix"}),
        ("gunicorn --forwarded-allow-ips * a", {"app": "a", "forwarded_allow_ips": "*"}),
        ("gunicorn -k gevent a", {"app": "a", "threads": "auto"}),
        ("gunicorn -k gthread --threads 8 a", {"app": "a", "threads": 8}),
        ("gunicorn --threads 8 -k gevent a", {"app": "a", "threads": 8}),
        ("gunicorn -k uvicorn.workers.UvicornWorker a", {"app": "a", "interface": "asgi"}),
        ("gunicorn --chdir src --pythonpath a,b a", {"app": "a", "chdir": "src", "pythonpath": ["a", "b"]}),
        ("gunicorn -w=1 -b=:1 a", {"app": "a", "workers": 1, "bind": ["0.0.0.0:1"]}),
        ("PORT=5000 WEB_CONCURRENCY=3 A=b gunicorn a", {
            "app": "a", "bind": ["0.0.0.0:5000"], "workers": 3, "env": ["A=b"]}),
        ("PORT=9 gunicorn -b '0.0.0.0:$PORT' a", {"app": "a", "bind": ["0.0.0.0:9"]}),
        ("PORT=9 N=3 gunicorn -b ':${PORT:-8000}' -w $N a", {
            "app": "a", "bind": ["0.0.0.0:9"], "workers": 3, "env": ["N=3"]}),
        ("SCRIPT_NAME=/app gunicorn a", {"app": "a", "root_path_kept": "/app", "env": ["SCRIPT_NAME=/app"]}),
        ("gunicorn -e SCRIPT_NAME=/app a", {"app": "a", "root_path_kept": "/app", "env": ["SCRIPT_NAME=/app"]}),
        ("WEB_CONCURRENCY=3 FORWARDED_ALLOW_IPS=* gunicorn -w 2 a", {
            "app": "a", "workers": 2, "forwarded_allow_ips": "*"}),
        ("env PYTHONPATH=src:/lib:$PYTHONPATH gunicorn --pythonpath a e:app", {
            "app": "e:app", "pythonpath": ["a", "src", "/lib"]}),
        ("uwsgi --http-socket :80 --env PYTHONPATH=src -w a", {
            "app": "a", "bind": ["0.0.0.0:80"], "pythonpath": ["src"]}),
        ("GUNICORN_CMD_ARGS='-w 2 -b :1' gunicorn -b :2 a", {"app": "a", "workers": 2, "bind": ["0.0.0.0:2"]}),
        ("gunicorn --certfile c --keyfile k --cert-reqs 2 --ca-certs a --ssl-version 5 a", {
            "app": "a", "ssl_certfile": ["c"], "ssl_keyfile": ["k"], "ssl_cert_reqs": "required",
            "ssl_ca_certs": "a"}),
        # Uvicorn
        ("uvicorn a:b --host 0.0.0.0 --port 80", {"app": "a:b", "bind": ["0.0.0.0:80"]}),
        # The event loop opens sockets of both families.
        ("uvicorn a:b --host '' --port 80", {"app": "a:b", "bind": ["*:80"]}),
        ("uvicorn a:b --host '' --port 80 --reload", {"app": "a:b", "bind": ["0.0.0.0:80"], "reload": True}),
        ("uvicorn a:b --workers 2 --host ''", {"app": "a:b", "bind": ["0.0.0.0:8000"], "workers": 2}),
        ("uvicorn a:b --port 80 --no-access-log", {"app": "a:b", "bind": ["127.0.0.1:80"], "access_log": False}),
        ("uvicorn a:b --fd 3 --root-path /x", {"app": "a:b", "bind": ["fd://3"], "root_path": "/x"}),
        ("uvicorn a:b --limit-concurrency 9 --header A:b", {"app": "a:b", "limit_concurrency": 9, "header": ["a: b"]}),
        ("uvicorn a:b --no-server-header --log-level trace", {
            "app": "a:b", "server_header": False, "log_level": "debug"}),
        ("uvicorn a:b --forwarded-allow-ips /run/s,::1", {"app": "a:b", "forwarded_allow_ips": "unix,::1"}),
        ("UVICORN_WORKERS=3 UVICORN_PORT=1 uvicorn a:b --port 2", {
            "app": "a:b", "workers": 3, "bind": ["127.0.0.1:2"]}),
        ("uvicorn a:b --env-file my.env --port 80", {
            "app": "a:b", "bind": ["127.0.0.1:80"], "env_file": ["my.env"]}),
        ("uvicorn a:b --env-file=first.env --env-file=my.env", {"app": "a:b", "env_file": ["my.env"]}),
        ("UVICORN_HEADERS='X:1 Y:2' UVICORN_RELOAD_DIRS=a:b UVICORN_ENV_FILE=my.env uvicorn a:b", {
            "app": "a:b", "header": ["x: 1", "y: 2"], "reload_dir": ["a", "b"], "env_file": ["my.env"]}),
        ("fastapi run app/main.py --port 80 --workers 2", {
            "app": "app/main.py:app", "bind": ["0.0.0.0:80"], "workers": 2}),
        ("fastapi dev -e main:api --no-proxy-headers", {"app": "main:api", "reload": True, "proxy_headers": False}),
        # Granian
        ("granian --interface asginl a:b", {"app": "a:b", "interface": "asgi", "lifespan": "off"}),
        ("granian --no-ws --interface wsgi a:b", {"app": "a:b", "ws": "none", "interface": "wsgi"}),
        ("granian --interface asgi --ws a:b --workers 2", {"app": "a:b", "interface": "asgi", "workers": 2}),
        ("granian --interface wsgi --backpressure 4 a", {"app": "a", "interface": "wsgi", "limit_connections": 4}),
        ("granian --interface wsgi --blocking-threads 4 a", {"app": "a", "interface": "wsgi", "threads": 4}),
        ("granian --interface asgi --workers-lifetime 1h30m a", {
            "app": "a", "interface": "asgi", "workers_lifetime": "90m"}),
        ("GRANIAN_WEBSOCKETS=0 granian --interface asgi a", {"app": "a", "ws": "none", "interface": "asgi"}),
        ("granian --interface asgi --ssl-certificate c --ssl-keyfile k --ssl-client-verify a", {
            "app": "a", "interface": "asgi", "ssl_certfile": ["c"], "ssl_keyfile": ["k"], "ssl_cert_reqs": "required"}),
        ("granian --interface wsgi --env-files a.env --env-files=b.env a", {
            "app": "a", "interface": "wsgi", "env_file": ["a.env", "b.env"]}),
        ("GRANIAN_ENV_FILES=a.env:b.env GRANIAN_INTERFACE=wsgi granian a", {
            "app": "a", "interface": "wsgi", "env_file": ["a.env", "b.env"]}),
        # Hypercorn
        ("hypercorn a", {"app": "a:app"}),
        ("hypercorn -b :80 a:b", {"app": "a:b", "bind": ["0.0.0.0:80"]}),
        ("hypercorn wsgi:a:b -k uvloop", {"app": "a:b", "interface": "wsgi", "loop": "uvloop"}),
        ("hypercorn -m 18 -p /run/a.pid a:b", {"app": "a:b", "umask": "22", "pid_file": "/run/a.pid"}),
        ("hypercorn --log-level WARN --access-log - a:b", {
            "app": "a:b", "log_level": "warning", "access_log": True, "access_logfile": "-"}),
        # Daphne
        ("daphne -b 0.0.0.0 -p 80 a:b", {"app": "a:b", "bind": ["0.0.0.0:80"], "interface": "asgi"}),
        ("daphne -b 0.0.0.0 a:b", {"app": "a:b", "bind": ["0.0.0.0:8000"], "interface": "asgi"}),
        ("daphne -b '' -p 80 a:b", {"app": "a:b", "bind": ["127.0.0.1:80"], "interface": "asgi"}),
        ("daphne -e tcp:80:interface= a:b", {"app": "a:b", "bind": ["0.0.0.0:80"], "interface": "asgi"}),
        ("daphne -p 80 --root-path /x a:b", {
            "app": "a:b", "bind": ["127.0.0.1:80"], "interface": "asgi", "root_path_kept": "/x"}),
        ("daphne -u /run/d.sock --fd 0 a:b", {
            "app": "a:b", "bind": ["unix:/run/d.sock", "fd://0"], "interface": "asgi"}),
        ("daphne -e tcp:port=80:interface=0.0.0.0 -e unix:/run/d a:b", {
            "app": "a:b", "bind": ["0.0.0.0:80", "unix:/run/d"], "interface": "asgi"}),
        (r"daphne -e 'tcp6:80:interface=\:\:1' a:b", {"app": "a:b", "bind": ["[::1]:80"], "interface": "asgi"}),
        (r"daphne -e 'ssl:443:privateKey=k:certKey=c:interface=\:\:1' a:b", {
            "app": "a:b", "bind": ["[::1]:443"], "interface": "asgi", "ssl_certfile": ["c"], "ssl_keyfile": ["k"]}),
        ("daphne -e ssl:8970:privateKey=k:certKey=c -e tcp:8971:interface=127.0.0.1 -e unix:q.sock -p 80 --fd 3 a:b", {
            "app": "a:b", "bind": ["0.0.0.0:8970"], "interface": "asgi", "ssl_certfile": ["c"], "ssl_keyfile": ["k"],
            "insecure_bind": ["127.0.0.1:8971", "unix:q.sock", "fd://3", "127.0.0.1:80"]}),
        ("daphne -u /run/d.sock -p 80 a:b", {
            "app": "a:b", "bind": ["unix:/run/d.sock", "127.0.0.1:80"], "interface": "asgi"}),
        ("daphne -v0 -s web a:b", {
            "app": "a:b", "log_level": "warning", "access_log": False, "interface": "asgi", "server_header": False,
            "header": ["server: web"]}),
        # Waitress
        ("waitress-serve --listen='*:80 127.0.0.1:81' --call a:b", {
            "app": "a:b", "bind": ["*:80", "127.0.0.1:81"], "factory": True}),
        ("waitress-serve --listen=0.0.0.0 a:b", {"app": "a:b", "bind": ["0.0.0.0:8080"]}),
        ("waitress-serve --port=80 a.b.c", {"app": "a.b:c", "bind": ["0.0.0.0:80"]}),
        ("waitress-serve --port=80 a:b", {"app": "a:b", "bind": ["0.0.0.0:80"]}),
        ("waitress-serve --trusted-proxy=10.0.0.1 --trusted-proxy-headers=forwarded a:b", {
            "app": "a:b", "forwarded_allow_ips": "10.0.0.1", "forwarded_headers": "forwarded"}),
        ("waitress-serve --ident= --unix-socket=/run/w --unix-socket-perms=660 a:b", {
            "app": "a:b", "server_header": False, "bind": ["unix:/run/w"], "uds_permissions": "660"}),
        # mod_wsgi-express
        ("mod_wsgi-express start-server site.wsgi --port 80 --setenv A b", {
            "app": "site.wsgi", "bind": ["0.0.0.0:80"], "env": ["A=b"]}),
        ("mod_wsgi-express start-server site.py --callable-object app --mount-point /x", {
            "app": "site.py:app", "root_path_kept": "/x"}),
        ("mod_wsgi-express start-server site.py --log-directory /var/log/w --access-log", {
            "app": "site.py", "error_logfile": "/var/log/w/error_log", "access_log": True,
            "access_logfile": "/var/log/w/access_log"}),
        # uWSGI
        ("uwsgi --http-socket :80 --module a:b -p 2", {"app": "a:b", "bind": ["0.0.0.0:80"], "workers": 2}),
        ("uwsgi --http 127.0.0.1:80 --wsgi-file app.py --callable app", {
            "app": "app.py:app", "bind": ["127.0.0.1:80"]}),
        ("uwsgi --https :443,c,k,HIGH,!ca -w a", {
            "app": "a", "bind": ["0.0.0.0:443"], "ssl_certfile": ["c"], "ssl_keyfile": ["k"], "ssl_ciphers": "HIGH",
            "ssl_ca_certs": "ca", "ssl_cert_reqs": "required"}),
        ("uwsgi --http-socket :80 --https :443,c,k -w a", {
            "app": "a", "bind": ["0.0.0.0:443"], "ssl_certfile": ["c"], "ssl_keyfile": ["k"],
            "insecure_bind": ["0.0.0.0:80"]}),
        ("uwsgi --http-socket /run/u --chmod-socket 660 -w a", {
            "app": "a", "bind": ["unix:/run/u"], "uds_permissions": "660"}),
        ("uwsgi --http-socket :80 --chmod-socket --mount /x=a:b", {
            "app": "a:b", "root_path_kept": "/x", "bind": ["0.0.0.0:80"], "uds_permissions": "666"}),
        ("uwsgi --http-socket :80 -w a:b --mount /x=c:d --py-autoreload 1", {
            "app": "a:b", "mount": ["/x=c:d"], "bind": ["0.0.0.0:80"], "reload": True}),
    ],
)  # fmt: skip
def test_settings_of_a_command(line: str, expected: dict[str, Any]) -> None:
    assert read_page(line).given == expected


@for_each_row(
    ("line", "expected"),
    [
        ("gunicorn a", {"threads": 1, "forwarded_fields": "proto", "timeout_stop": "30s", "access_log": False}),
        ("gunicorn -k uvicorn_worker.UvicornWorker a", {
            "timeout_keep_alive": "2s", "timeout_stop": "30s", "access_log": False}),
        ("gunicorn -k gevent --graceful-timeout 3 --access-logfile - --access-logformat '%(h)s' a", {
            "forwarded_fields": "proto", "timeout_keep_alive": "2s"}),
        ("uvicorn a:b", {"timeout_keep_alive": "5s", "timeout_stop": "0"}),
        ("hypercorn a:b", {
            "proxy_headers": False, "timeout_keep_alive": "5s", "timeout_stop": "3s", "ws_ping_interval": "0",
            "access_log": False, "http2_cleartext": True}),
        ("hypercorn --certfile c --keyfile k a:b", {
            "proxy_headers": False, "timeout_keep_alive": "5s", "timeout_stop": "3s", "ws_ping_interval": "0",
            "access_log": False}),
        ("hypercorn --certfile c --keyfile k --insecure-bind :2 --access-log - a:b", {
            "proxy_headers": False, "timeout_keep_alive": "5s", "timeout_stop": "3s", "ws_ping_interval": "0",
            "http2_cleartext": True,
            "access_log_format": '%(h)s %(l)s %(l)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s "%(f)s" "%(a)s"'}),
        ("granian --interface asgi a:b", {
            "proxy_headers": False, "timeout_stop": "0", "access_log": False, "http2_cleartext": True}),
        ("granian --interface asgi --ssl-certificate c --ssl-keyfile k a:b", {
            "proxy_headers": False, "timeout_stop": "0", "access_log": False}),
        ("granian --interface asgi --http 1 a:b", {
            "proxy_headers": False, "timeout_stop": "0", "access_log": False}),
        ("waitress-serve a:b", {
            "bind": ["0.0.0.0:8080"], "threads": 4, "proxy_headers": False, "timeout_keep_alive": "2m",
            "limit_connections": 100, "access_log": False}),
        ("uvicorn a:b --uds /run/u", {
            "forwarded_allow_ips": "127.0.0.1,::1", "timeout_keep_alive": "5s", "timeout_stop": "0"}),
        ("waitress-serve --unix-socket=/run/w --trusted-proxy=::1 a:b", {
            "threads": 4, "forwarded_fields": "proto", "timeout_keep_alive": "2m", "limit_connections": 100,
            "access_log": False, "uds_permissions": "600"}),
        ("uwsgi --http-socket :1 -p 2 --lazy-apps -w a", {
            "threads": 1, "proxy_headers": False, "timeout_stop": "1m", "max_request_body_size": 0}),
    ],
)  # fmt: skip
def test_defaults_of_a_server(line: str, expected: dict[str, Any]) -> None:
    assert read_page(line).defaults == expected


# The real servers listen there. Those that do not start with * have a remark.
@for_each_row(
    ("line", "address", "remark"),
    [
        ("gunicorn -b '' a", "0.0.0.0:8000", ""),
        ("gunicorn -b :80 a", "0.0.0.0:80", ""),
        ("gunicorn -b tcp://:80 a", "0.0.0.0:80", ""),
        ("gunicorn -b '[::]' a", "[::]:8000", ""),
        *((f"gunicorn -b '{address}' a", shown, "Gunicorn does not start with it") for address, shown in (
            ("*", "*:8000"), ("*:80", "*:80"), ("tcp://*:80", "*:80"))),
        ("hypercorn -b '' a:b", "0.0.0.0:8000", ""),
        ("hypercorn -b :80 a:b", "0.0.0.0:80", ""),
        ("hypercorn -b :: a:b", "[::]:8000", ""),
        ("hypercorn -b ::1:80 a:b", "[::1]:80", ""),
        ("hypercorn -b '[::1]:80' a:b", "[::1]:80", ""),
        ("hypercorn -b '*:80' a:b", "*:80", "Hypercorn does not start with it"),
        ("granian --interface asgi --host '*' a:b", "*:8000", "Granian does not start with it"),
        ("daphne -b '*' a:b", "*:8000", "Daphne does not start with it"),
        ("daphne -b '' -p 80 a:b", "127.0.0.1:80", ""),
        ("waitress-serve --listen='*:80' a:b", "*:80", ""),
        ("waitress-serve --listen=:::80 a:b", "[::]:80", ""),
        ("waitress-serve --host='*' a:b", "*:8080", ""),
        ("uvicorn --host '*' a:b", "*:8000", ""),
    ],
)  # fmt: skip
def test_an_address_of_all_hosts_is_that_of_the_server(line: str, address: str, remark: str) -> None:
    page = read_page(line)
    assert page.given["bind"] == [address]
    (entry,) = re.findall("^bind = .*", page.text, re.MULTILINE)
    assert (remark in entry) if remark else ("#" not in entry)


@for_each_row(
    ("line", "expected", "remark"),
    [
        *((f"{line} --ca-certs a a:b", "none", "asks no client") for line in (
            "gunicorn --certfile c --keyfile k", "hypercorn --certfile c --keyfile k")),
        ("uvicorn --ssl-certfile c --ssl-keyfile k --ssl-ca-certs a a:b", "none", "Uvicorn asks no client"),
        # It refuses invalid ones, and serves clients without one.
        *((f"granian --interface asgi --ssl-certificate c --ssl-keyfile k --ssl-ca a {line} a:b", reqs, remark)
            for line, reqs, remark in (
                ("", "optional", "Granian checks"), ("--no-ssl-client-verify", "optional", "Granian checks"),
                ("--ssl-client-verify", "required", ""))),
        *((f"mod_wsgi-express start-server --ssl-certificate c --ssl-ca-certificate-file a {line} x.wsgi", reqs, "")
            for line, reqs in (("", "required"), ("--ssl-verify-client /x", "optional"))),
    ],
)  # fmt: skip
def test_authorities_of_clients_are_as_strict_as_in_the_server(line: str, expected: str, remark: str) -> None:
    page = read_page(line)
    assert (page.given["ssl_ca_certs"], page.given["ssl_cert_reqs"]) == ("a", expected)
    (entry,) = re.findall("^ssl_cert_reqs = .*", page.text, re.MULTILINE)
    assert (remark in entry) if remark else ("#" not in entry)
    assert "Not valid yet" not in page.text


def test_settings_of_tls_without_a_certificate_are_not_in_the_file(nowhere: Path) -> None:
    """Ianus refuses them then, and the other servers ignore them."""
    page = read_page("gunicorn --cert-reqs 2 --ca-certs a --ciphers HIGH a")
    assert page.given == {"app": "a"}
    assert not load_page(page, nowhere).warnings
    assert "--cert-reqs 2" in page.notes
    with_variable = read_page("gunicorn --certfile '$CERT' --keyfile k --ca-certs a --cert-reqs 2 a")
    assert with_variable.given["ssl_cert_reqs"] == "required"


@for_each_row(
    ("line", "expected"),
    [
        ("gunicorn --enable-backlog-metric a", "Metrics for Prometheus are not supported yet"),
        ("gunicorn -D a", "runs in the foreground"),
        ("gunicorn -k gevent a", "max_threads"),
        ("gunicorn -k project.Worker a", "Worker classes of your own"),
        ("gunicorn --wokers=4 a", "--wokers=4 Ianus does not know this option of Gunicorn. Did you mean --workers?"),
        ("gunicorn --qqq 4 a", "--qqq 4 Ianus does not know this option of Gunicorn."),
        ("uvicorn a:b --workers", "--workers The option needs a value."),
        *((f"{line} a:b", "has no effect without a certificate in") for line in (
            "uvicorn --ssl-keyfile-password p", "gunicorn --cert-reqs 2", "hypercorn --ca-certs c",
            "granian --interface asgi --ssl-client-verify", "gunicorn --ciphers HIGH")),
        *((f"{line} k.pem a:b", "ssl_keyfile The key has no effect without a certificate") for line in (
            "uvicorn --ssl-keyfile", "gunicorn --keyfile", "hypercorn --keyfile", "granian --ssl-keyfile")),
        ("gunicorn -w many a", "'many' is neither auto nor a number"),
        ("gunicorn -w '${N:-4}' a", 'IANUS_WORKERS="${N:-4}"'),
        ("gunicorn -b '0.0.0.0:${PORT:-8080}' a", 'IANUS_BIND="0.0.0.0:${PORT:-8080}"'),
        ("gunicorn -b unix:x -b '0.0.0.0:$PORT' a", 'IANUS_BIND, of which one is "0.0.0.0:$PORT"'),
        ("daphne -p '$PORT' -e ssl:443 a:b", 'IANUS_INSECURE_BIND, of which one is "0.0.0.0:$PORT"'),
        ("cd src && export A=1; gunicorn a", "cd src && export A=1 Run it first, as before. After a `cd`"),
        ("sh -c 'cd src; exec gunicorn a'", "cd src Run it first"),
        ("PYTHONWARNINGS=error LD_PRELOAD=j.so gunicorn a", "LD_PRELOAD=j.so It is read as the process starts"),
        ("gunicorn a >> g.log 2>&1", ">> g.log 2>&1 Write it after `ianus`, as before. Or name files in error_logfile"),
        ("sh -c 'exec gunicorn a 2> e.log' > o.log", "2> e.log > o.log Write it"),
        ("gunicorn a 2>&1 | logger -t web; rm x", "| logger -t web ; rm x Run it after `ianus`, as before."),
        ("python -X dev -m gunicorn a", "python -X dev -m ianus"),
        ("granian --interface asgi --ssl-crl a --ssl-crl b a:b", "append this one to a."),
        ("uwsgi --xml u.xml", "Write its options as an .ini or .json file"),
        ("newrelic-admin run-program gunicorn a", "newrelic-admin run-program ianus"),
        ("gunicorn a b", "One application"),
        ("gunicorn '${APP:-a b}'", 'ianus "${APP:-a b}"'),
        ("uwsgi --http-socket", "It has no address"),
        ("granian a:b", "RSGI is not supported"),
        ("hypercorn -k trio a:b", "Trio is not supported"),
        ("daphne --proxy-headers a:b", "Daphne believes every client"),
        ("daphne -e txacme:d:tcp:443 a:b", "ssl_certfile and ssl_keyfile"),
        ("daphne -e ssl:443:privateKey=k:extraCertChain=c a:b", "Append it to the file of the certificate"),
        ("mod_wsgi-express start-server a.wsgi --https-port 443", "Every address of bind has TLS"),
        ("waitress-serve --threads='${WEB_CONCURRENCY:-4}' a:b", "IANUS_THREADS"),
        ("mod_wsgi-express start-server a.wsgi --trust-proxy-header X-Forwarded-For", "believes every client"),
        ("uwsgi -s /run/u.sock -w a", "proxy_pass http://unix:/run/u.sock;"),
        ("uwsgi -s 0.0.0.0:80 -w a", "proxy_pass http://127.0.0.1:80;"),
        ("uwsgi --http-socket :1 -w a --venv /v --cheaper 2", "/v/bin/ianus"),
        ("uwsgi --http-socket :1 -w a --emperor /etc/v", "its own service"),
    ],
)  # fmt: skip
def test_notes(line: str, expected: str) -> None:
    assert expected in " ".join(read_page(line).notes.replace("#", "").split())


@for_each_row(
    "line",
    [
        "gunicorn -b ':$PORT' a",
        "gunicorn -b '0.0.0.0:${PORT}' a",
        "gunicorn -b '0.0.0.0:${PORT:-8000}' a",
        "uvicorn a --host 0.0.0.0 --port '$PORT'",
        "waitress-serve --port='$PORT' a",
        "uwsgi --http-socket ':$PORT' -w a",
    ],
)
def test_the_port_of_a_platform_is_read_from_its_variable(line: str) -> None:
    page = read_page(line)
    assert page.given["host"] == "0.0.0.0"
    assert "bind" not in page.given | page.defaults


@for_each_row(
    "line",
    ["uvicorn --ssl-keyfile k --ssl-certfile c a:b", "uvicorn --ssl-keyfile k --ssl-certfile '$CERT' a:b"],
)
def test_a_key_with_a_certificate_has_no_note(line: str) -> None:
    assert "has no effect" not in read_page(line).notes


def test_choices_among_parts_of_uvicorn_are_not_needed() -> None:
    page = read_page("UVICORN_WS=wsproto uvicorn --http h11 a:b")
    assert page.given == {"app": "a:b"}
    assert "--http h11" in page.unneeded
    assert "UVICORN_WS=wsproto" in page.unneeded
    assert read_page("uvicorn --ws none a:b").given["ws"] == "none"


@for_each_row(
    "line",
    [
        # Waitress does not start with both.
        "waitress-serve --unix-socket=/run/w --port 80 a:b",
        "waitress-serve --listen=:81 --port 80 a:b",
        "uvicorn a:b --uds /run/u --port 80",
        "granian --interface wsgi --port 80 --uds /run/u a:b",
    ],
)
def test_a_port_beside_another_address_is_named(line: str) -> None:
    assert "--port 80\n#       Another option has the address, which is in bind." in read_page(line).unneeded


def test_a_value_with_a_line_end_stays_in_its_line() -> None:
    page = read_page("gunicorn", "--log-syslog-prefix", 'x\nworkers = 9\x00"', "a\nworkers = 8")
    assert page.given == {"app": "a\nworkers = 8"}


def test_settings_that_do_not_go_together_are_named() -> None:
    migration = Migration("Gunicorn")
    migration.set("timeout_stop", "2s")
    migration.set("drain_delay", "10s")
    from ianus.migrate.toml_page import write_page

    assert "# Not valid yet: drain_delay does not fit" in write_page(migration, "x")
