"""Files of other servers, and files with their commands."""

import json
from pathlib import Path
from typing import Any

import pytest

from ianus.errors import StartupError
from ianus.migrate.command import migrate, parse_command, split_line
from tests.migrate.pages import load_page, read_page
from tests.rows import for_each_row

GUNICORN = """
import os
cores = 2
bind = f"0.0.0.0:{os.getenv('NO_SUCH_PORT', '8080')}"
workers = cores * 2
worker_class = "gthread"
threads = 4
worker_tmp_dir = "/dev/shm"
max_worker_memory = 150
preload_app = True
accesslog = "-"
umask = 0o027
raw_env = ["A=b"]
wsgi_app = "project.wsgi"
certfile = "c.pem"
syslog = False
"""

HOOKS = """
def post_fork(server, worker):
    pass
"""


def test_a_gunicorn_conf_py(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text(GUNICORN + HOOKS)
    page = read_page("gunicorn.conf.py")
    assert page.given == {
        "app": "project.wsgi",
        "bind": ["0.0.0.0:8080"],
        "workers": 4,
        "preload": True,
        "hooks": "file:gunicorn.conf.py",
        "threads": 4,
        "access_log": True,
        "access_logfile": "-",
        "umask": "27",
        "env": ["A=b"],
        "ssl_certfile": ["c.pem"],
    }
    assert "# computed here: cores * 2\n" in page.text
    assert "# calls post_fork\n" in page.text
    assert "max_worker_memory = 150" in page.notes
    assert "syslog" not in page.text
    assert "cores" not in page.notes
    assert "worker_tmp_dir" in page.unneeded


@pytest.mark.parametrize("line", ["gunicorn -w 9", "gunicorn -c gunicorn.conf.py -w 9", "gunicorn -c python:conf -w 9"])
def test_a_command_of_gunicorn_has_its_file(line: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(nowhere)
    for name in ("gunicorn.conf.py", "conf.py"):
        (nowhere / name).write_text("workers = 3\nbind = [':1', ':2']\nthreads = 5\n")
    page = read_page(f"{line} -b :3 a:b")
    assert page.given == {"app": "a:b", "bind": ["0.0.0.0:3"], "workers": 9, "threads": 5}
    assert page.text.splitlines()[0].endswith(("conf.py", "python:conf"))


def test_options_of_a_line_replace_those_of_the_file_of_gunicorn(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text(
        "raw_env = ['A=b']\npythonpath = 'lib'\nworker_class = 'uvicorn.workers.UvicornWorker'\n"
    )
    page = read_page("GUNICORN_CMD_ARGS='-e C=d --pythonpath b -w 2' gunicorn -k gevent -e E=f a:b")
    assert page.given == {"app": "a:b", "env": ["E=f"], "pythonpath": ["b"], "threads": "auto", "workers": 2}


def test_output_of_a_configuration_is_not_in_the_result(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "gunicorn.conf.py").write_text("workers = 2\nprint('workers', workers)\n")
    read_page("gunicorn.conf.py")
    assert capsys.readouterr() == ("", "workers 2\n")


@pytest.mark.parametrize("source", ["1 / 0", "import no_such_module", "raise SystemExit(3)", "("])
def test_a_configuration_that_fails_is_one_message(source: str, nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text(source)
    with pytest.raises(StartupError, match=r"gunicorn\.conf\.py"):
        migrate(["gunicorn", "a:b"])


def test_values_of_a_wrong_type_are_notes(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text("bind = 8000\nworkers = 'many'\nforwarded_allow_ips = 3\nraw_env = 4\n")
    page = read_page("gunicorn a:b")
    assert page.given == {"app": "a:b", "forwarded_allow_ips": "unix"}
    assert "bind = 8000" in page.notes
    assert "workers = 'many'" in page.notes


def test_a_hypercorn_toml(nowhere: Path) -> None:
    (nowhere / "hypercorn.toml").write_text(
        'bind = ["0.0.0.0:8080"]\nquic_bind = ["0.0.0.0:4433"]\ncertfile = "c"\ninclude_server_header = false\n'
        'accesslog = "-"\nerrorlog = "-"\ngraceful_timeout = 30\nmax_app_queue_size = 10\nworker_class = "uvloop"\n'
        'alpn_protocols = ["http/1.1"]\nuse_reloader = false\nno_such = 1\n'
    )
    page = read_page("hypercorn.toml")
    assert page.given == {
        "bind": ["0.0.0.0:8080"],
        "loop": "uvloop",
        "timeout_stop": "30s",
        "server_header": False,
        "access_log": True,
        "access_logfile": "-",
        "error_logfile": "-",
        "ssl_certfile": ["c"],
        "http2": False,
    }
    assert "quic_bind" in page.notes
    assert "http2" not in page.defaults
    (nowhere / "other.toml").write_text('application_path = "a:b"\ninsecure_bind = [":2"]\nbind = ":3"\n')
    plain = read_page("other.toml")
    assert plain.given == {"app": "a:b", "bind": ["0.0.0.0:3"]}
    assert "Hypercorn listens there only if it has a certificate" in plain.unneeded
    with_tls = {"bind": ["0.0.0.0:3"], "ssl_certfile": ["c"], "ssl_keyfile": ["k"]}
    (nowhere / "other.toml").write_text((nowhere / "other.toml").read_text() + 'certfile = "c"\nkeyfile = "k"\n')
    assert read_page("other.toml").given == {"app": "a:b", "insecure_bind": ["0.0.0.0:2"], **with_tls}
    assert read_page("hypercorn -c other.toml --insecure-bind :4 c:d").given == {
        "app": "c:d",
        "insecure_bind": ["0.0.0.0:4"],
        **with_tls,
    }
    # ALPN is a part of TLS; without it, Hypercorn serves HTTP/2 to clients that know it.
    (nowhere / "plain.toml").write_text('bind = ":3"\nalpn_protocols = ["http/1.1"]\n')
    page_without_tls = read_page("plain.toml")
    assert page_without_tls.given == {"bind": ["0.0.0.0:3"]}
    assert page_without_tls.defaults["http2_cleartext"] is True
    assert read_page("hypercorn -c hypercorn.toml -b :1 a:b").given == page.given | {
        "app": "a:b",
        "bind": ["0.0.0.0:1"],
    }


UWSGI = """
[other]
workers = 99
[uwsgi]
; a comment
base = /srv/app
chdir = %(base)
socket = /run/app.sock
chmod_socket = 660
module = project.wsgi:application
home = %(base)/venv
processes = 8
master = true
vacuum = false
harakiri = 120
max-requests = 1000
reload-on-rss = 1024
env = A=b
env = C=$(NO_SUCH_NAME)
static-map = /static=%d/static
disable-logging
"""


def test_a_uwsgi_ini(nowhere: Path) -> None:
    (nowhere / "uwsgi.ini").write_text(UWSGI)
    page = read_page("uwsgi.ini")
    assert page.given == {
        "app": "project.wsgi:application",
        "bind": ["unix:/run/app.sock"],
        "uds_permissions": "660",
        "workers": 8,
        "max_requests": 1000,
        "workers_max_rss": 1024,
        "access_log": False,
        "chdir": "/srv/app",
        "env": ["A=b"],
    }
    assert page.defaults["preload"] is True
    assert "/srv/app/venv/bin/ianus" in page.notes
    assert "harakiri = 120" in page.notes
    assert "C=${NO_SUCH_NAME}" in page.notes
    assert f"static-map = /static={nowhere}//static" in page.notes
    assert "vacuum" not in page.text
    assert read_page("uwsgi --ini uwsgi.ini -p 3").given == page.given | {"workers": 3}


UWSGI_SECTIONS = """
[uwsgi]
name = shop
ini = :extra
ini = base.ini:production
include = more.json
module = %(name).wsgi
http-socket = %d%n.sock
pythonpath = %v/lib
touch-reload = %p
logto = @(exec://date)
log-format = %(addr)
[extra]
listen = 256
"""


def test_a_uwsgi_ini_with_sections_of_files(nowhere: Path) -> None:
    (nowhere / "site.ini").write_text(UWSGI_SECTIONS)
    (nowhere / "base.ini").write_text("[uwsgi]\nprocesses = 9\n[production]\nprocesses = 3\nenv = A=%(name).x\n")
    (nowhere / "more.json").write_text('{"uwsgi": {"threads": 2, "env": "B=%(missing)"}}')
    page = read_page("site.ini")
    assert page.given == {
        "app": "shop.wsgi",
        "bind": [f"unix:{nowhere}/site.sock"],
        "backlog": 256,
        "workers": 3,
        "threads": 2,
        "env": ["A=shop.x"],
        "access_log_format": "%(h)s",
    }
    for note in ("pythonpath = %v/lib", "logto = @(exec://date)", "env = B=%(missing)", f"= {nowhere}/site.ini"):
        assert note in page.notes
    assert read_page("uwsgi more.json").given["threads"] == 2


def test_placeholders_of_uwsgi_may_be_defined_after_their_use(nowhere: Path) -> None:
    (nowhere / "a.ini").write_text(
        "[uwsgi]\nhttp-socket = :%(port)\nmodule = %(proj)\nproj = %(name).wsgi\nname = shop\nport = 9000\nport = 1\n"
    )
    page = read_page("a.ini")
    assert page.given == {"app": "shop.wsgi", "bind": ["0.0.0.0:9000"]}
    # Their names are not those of options.
    assert "proj" not in page.notes
    assert "proj = %(name).wsgi\n#       It is a placeholder." in page.unneeded
    (nowhere / "b.ini").write_text("[uwsgi]\nhttp-socket = :%(port)\nmodule = %(unknown)\n")
    page = read_page("uwsgi --ini b.ini --set-placeholder port=9001")
    assert page.given == {"bind": ["0.0.0.0:9001"]}
    assert "module = %(unknown)\n#       uWSGI computes this value." in page.notes


def test_an_application_that_a_variable_names_is_a_note(nowhere: Path) -> None:
    (nowhere / "a.ini").write_text("[uwsgi]\nhttp-socket = :80\nmodule = $(NO_SUCH_MODULE)\n")
    page = read_page("a.ini")
    assert page.given == {"bind": ["0.0.0.0:80"]}
    assert 'ianus "${NO_SUCH_MODULE}"' in page.notes


def test_files_that_include_each_other_are_one_message(nowhere: Path) -> None:
    (nowhere / "a.ini").write_text("[uwsgi]\ninclude = a.ini\n")
    with pytest.raises(StartupError, match="more than 20 files are included, perhaps by each other"):
        migrate(["a.ini"])


def test_a_uwsgi_json(nowhere: Path) -> None:
    (nowhere / "uwsgi.json").write_text(json.dumps({"uwsgi": {"http-socket": ":80", "master": True, "module": "a:b"}}))
    assert read_page("uwsgi.json").given == {"app": "a:b", "bind": ["0.0.0.0:80"]}


UNIT: dict[str, Any] = {
    "listeners": {
        "*:80": {
            "pass": "routes",
            "forwarded": {"client_ip": "X-Forwarded-For", "protocol": "X-Real-Proto", "source": ["10.0.0.0/8"]},
        },
        "127.0.0.1:81": {"pass": "applications/other"},
        "127.0.0.1:82": {"pass": "routes", "tls": {"certificate": "bundle"}},
    },
    "routes": [
        {"match": {"uri": "/static/*"}, "action": {"share": "/srv$uri"}},
        {"match": {"host": "old.test"}, "action": {"return": 301, "location": "https://new.test"}},
        {"match": {"uri": ["/api", "/api/*"]}, "action": {"pass": "applications/api"}},
        {"action": {"pass": "applications/app"}},
    ],
    "applications": {
        "app": {
            "type": "python 3.12",
            "path": ["/srv/app", "/srv/lib"],
            "home": "/srv/venv",
            "module": "project.asgi",
            "protocol": "asgi",
            "processes": {"max": 8, "spare": 2},
            "threads": 4,
            "limits": {"timeout": 120, "requests": 1000},
            "environment": {"A": "b"},
            "user": "www",
            "isolation": {"rootfs": "/srv"},
            "no_such": 1,
        },
        "api": {
            "type": "python",
            "module": "api",
            "callable": "app",
            "prefix": "/api",
            "path": "/srv/api",
            "environment": {"A": "other", "C": "d"},
            "processes": 2,
        },
        "other": {"type": "php", "root": "/srv"},
    },
    "settings": {"http": {"max_body_size": 1048576, "discard_unsafe_fields": True}},
    "upstreams": {"x": 1},
    "access_log": {"path": "/dev/stdout", "format": '$remote_addr [$time_local] "$request_line" $status'},
}


def test_a_configuration_of_nginx_unit(nowhere: Path) -> None:
    (nowhere / "unit.json").write_text(json.dumps({"config": UNIT}))
    page = read_page("unit.json")
    assert page.given == {
        "app": "project.asgi:application",
        "bind": ["0.0.0.0:80", "127.0.0.1:82"],
        "mount": ["/api=api:app"],
        "interface": "asgi",
        "forwarded_allow_ips": "10.0.0.0/8",
        "forwarded_fields": "for,proto",
        "workers": 8,
        "threads": 4,
        "max_requests": 1000,
        "max_request_body_size": "1M",
        "access_log": True,
        "access_logfile": "-",
        "access_log_format": '%(h)s %(t)s "%(r)s" %(s)s',
        "pythonpath": ["/srv/app", "/srv/lib", "/srv/api"],
        "user": "www",
        "env": ["A=b", "C=d"],
    }
    for note in (
        "/srv/venv/bin/ianus",
        "applications/app/limits/timeout = 120",
        "isolation",
        "/protocol = X-Real-Proto",
        "applications/app/no_such = 1",
        "applications/api/environment/A = other",
        "applications/api {'processes': 2}",
        "upstreams = {'x': 1}",
        "listeners/127.0.0.1:81",
        "listeners/127.0.0.1:82/tls",
        "share = /srv$uri",
        "'return': 301",
        "Its type is php",
    ):
        assert note in page.notes
    assert "One server has one application" not in page.notes


def test_a_configuration_of_nginx_unit_without_python_is_refused(nowhere: Path) -> None:
    (nowhere / "unit.json").write_text(
        '{"listeners": {"*:80": {"pass": "applications/a"}}, "applications": {"a": {"type": "php"}}}'
    )
    with pytest.raises(StartupError, match="has no application in Python, but php"):
        migrate(["unit.json"])


@pytest.mark.parametrize(
    "content",
    [
        '{"listeners": {"*:1": {"pass": "routes/x/y"}}, "routes": {"x": "bad"}, "applications": {}}',
        '{"listeners": {"*:1": {"pass": 3, "forwarded": {"source": 5}}}, "routes": [1], "applications": {"a": 3}}',
        '{"listeners": {"*:1": {"pass": "routes"}}, "routes": [{"match": {"uri": 1}, "action": 2}]}',
        '{"listeners": {"*:1": 1}, "applications": {"a": {}}, "settings": 1, "access_log": 1}',
    ],
)
def test_parts_of_a_wrong_type_are_omitted(content: str, nowhere: Path) -> None:
    (nowhere / "x.json").write_text(content)
    assert "app" not in read_page("x.json").given


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}{",
        '{"a": 1}',
        '{"config": {"a": 1}}',
        '{"uwsgi": 1}',
        '{"applications": 1}',
        '{"listeners": {"*:1": {"pass": "applications/x"}}, "applications": {}}',
    ],
)
def test_a_json_file_of_something_else_is_refused(content: str, nowhere: Path) -> None:
    (nowhere / "x.json").write_text(content)
    with pytest.raises(StartupError):
        migrate(["x.json"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Procfile", "release: ./manage.py migrate\nweb: gunicorn -w 3 a:b\n"),
        ("app.service", "[Service]\nExecStart=/srv/venv/bin/gunicorn \\\n  -w 3 \\\n  a:b\nExecReload=/bin/kill\n"),
        ("Dockerfile", 'FROM python\nRUN pip install gunicorn\nCMD ["gunicorn", "-w", "3", "a:b"]\n'),
        ("Dockerfile", 'FROM python\nCMD ["sh", "-c", "exec gunicorn -w 3 a:b"]\n'),
        ("Dockerfile", 'FROM python\nENTRYPOINT ["gunicorn", "-w", "3"]\nCMD ["a:b"]\n'),
        ("Dockerfile", 'FROM python\nENTRYPOINT ["/entry.sh"]\nCMD ["gunicorn", "-w", "3", "a:b"]\n'),
        ("start.sh", "pip install gunicorn uvicorn && gunicorn -w 3 a:b\n"),
        ("web.Dockerfile", "FROM python\nENTRYPOINT exec gunicorn -w 3 a:b\n"),
        ("supervisor.conf", "[program:web]\ncommand=/venv/bin/gunicorn -w 3 a:b\n"),
        ("start.sh", "#!/bin/sh\n./manage.py migrate &&\nexec gunicorn -w 3 a:b\n"),
    ],
)
def test_a_file_with_a_command(name: str, content: str, nowhere: Path) -> None:
    (nowhere / name).write_text(content)
    assert read_page(name).given == {"app": "a:b", "workers": 3}


@for_each_row(
    ("name", "content", "notes"),
    [
        (
            "web.conf",
            "command=gunicorn -b unix:/run/w%(process_num)d.sock -w 3 -e N=%(process_num)02d LOG\n",
            [
                "-b 'unix:/run/w%(process_num)d.sock' supervisor computes it, and a file cannot.",
                "has precedence: ianus --bind unix:/run/w%(process_num)d.sock",
                "keep it in the command: ianus --env N=%(process_num)02d",
            ],
        ),
        (
            "web@.service",
            "ExecStart=/srv/bin/gunicorn -b unix:/run/%i.sock -w 3 LOG\n",
            ["-b unix:/run/%i.sock systemd computes it", "ianus --bind unix:/run/%i.sock"],
        ),
        (
            "uds@.service",
            "ExecStart=/srv/bin/gunicorn -b ':80%i' -w 3 LOG\n",
            ["ianus --bind 0.0.0.0:80%i"],
        ),
    ],
)
def test_parts_of_a_command_that_a_supervisor_computes_are_notes(
    name: str, content: str, notes: list[str], nowhere: Path
) -> None:
    log = "--access-logfile - --access-logformat '%%(h)s' a:b"
    (nowhere / name).write_text(content.replace("LOG", log))
    page = read_page(name)
    assert page.given == {
        "app": "a:b", "workers": 3, "access_log": True, "access_logfile": "-", "access_log_format": "%(h)s"
    }  # fmt: skip
    assert "bind" not in page.defaults
    for note in notes:
        assert note in " ".join(page.notes.replace("#", "").split())


def test_a_socket_that_a_supervisor_computes_is_an_address(nowhere: Path) -> None:
    (nowhere / "web.conf").write_text("command=daphne -u /run/d%(process_num)d.sock --fd %(process_num)d a:b\n")
    notes = " ".join(read_page("web.conf").notes.replace("#", "").split())
    assert "ianus --bind unix:/run/d%(process_num)d.sock" in notes
    assert "ianus --bind fd://%(process_num)d" in notes


def test_a_command_in_quotes_has_no_part_that_a_supervisor_computes(nowhere: Path) -> None:
    assert read_page("gunicorn -b unix:/run/%i.sock a:b").given["bind"] == ["unix:/run/%i.sock"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("Procfile", "worker: celery\n", "has no command"),
        ("uwsgi.yaml", "", r"\.yaml files cannot be read"),
        ("unknown.txt", "", "is not recognised"),
        ("main.py", "def app(environ, start_response): pass", "has no setting of Gunicorn"),
        ("pyproject.toml", "[project]\n", "has no setting of Hypercorn"),
        (
            "x.py",
            "WORKRES = 1\nbnid = ':1'\n",
            r"x.py has no setting of Gunicorn \(unknown: WORKRES, bnid\)\. Name the file",
        ),
        ("gunicorn.conf.py", "workres = 1\n", r"has no setting of Gunicorn \(unknown: workres\)\."),
        ("gunicorn.conf.py", "".join(f"a{i} = 1\n" for i in range(9)), r"\(unknown: a0, a1, a2, a3, a4, a5\)\."),
        ("hypercorn.toml", "bnid = ':1'\n", r"has no setting of Hypercorn \(unknown: bnid\)\."),
        ("hypercorn.py", "bnid = ':1'\nx = 1\n_y = x\n", r"has no setting of Hypercorn \(unknown: bnid\)\."),
        ("x.ini", "[uwsgi]\nno-such = 1\n", r"has no setting of uWSGI \(unknown: no-such\)\."),
        ("x.json", '{"uwsgi": {"no-such": 1}}', r"has no setting of uWSGI \(unknown: no-such\)\."),
        ("empty.ini", "[uwsgi]\n; workers = 3\n", r"empty.ini has no setting in its section \[uwsgi\]\."),
        ("production.ini", "[server:main]\nuse = egg:waitress#main\n", r"has no section \[uwsgi\]"),
        ("hypercorn.toml", "a = ", "is not valid TOML"),
        ("Dockerfile", 'CMD ["gunicorn", 1}', "cannot be split|no command|No server"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_message(name: str, content: str, problem: str, nowhere: Path) -> None:
    (nowhere / name).write_text(content)
    with pytest.raises(StartupError, match=problem):
        migrate([name])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["no-such-file.toml"], "there is no such file"),
        (["python main.py"], "No server is found"),
        (["gunicorn", "-c", "missing.py", "a"], r"^missing\.py cannot be read: No such file or directory"),
        (["hypercorn", "-c", "file:missing.py", "a"], r"^missing\.py cannot be read: No such file"),
        (["gunicron", "main:app"], "Did you mean gunicorn?"),
        (["hypercron main:app"], "Did you mean hypercorn?"),
        (["gunicorn 'a"], "cannot be split"),
        (['GUNICORN_CMD_ARGS="\'a" gunicorn a'], "cannot be split into options"),
        (["fastapi", "deploy"], "fastapi run"),
        (["mod_wsgi-express", "install-module"], "start-server"),
    ],
)
def test_a_word_that_is_not_understood_is_one_message(words: list[str], problem: str, nowhere: Path) -> None:
    with pytest.raises(StartupError, match=problem):
        migrate(words)


@for_each_row(
    ("line", "variables", "wrapper", "arguments"),
    [
        ("gunicorn a", {}, [], ["a"]),
        ("exec gunicorn a", {}, [], ["a"]),
        ("A=b C='d e' /srv/venv/bin/gunicorn a", {"A": "b", "C": "d e"}, [], ["a"]),
        ("env A=b gunicorn a", {"A": "b"}, [], ["a"]),
        ("python -m gunicorn a", {}, [], ["a"]),
        ("ddtrace-run gunicorn a", {}, ["ddtrace-run"], ["a"]),
        ("poetry run python -m gunicorn a", {}, ["poetry", "run"], ["a"]),
        ("sh -c 'A=b exec gunicorn a'", {"A": "b"}, [], ["a"]),
        ("cd src && ./manage.py migrate; gunicorn a", {}, [], ["a"]),
        ("gunicorn \\\n  a  # the server", {}, [], ["a"]),
        ("gunicorn a >> /var/log/out 2>&1 &", {}, [], ["a"]),
        ("gunicorn 'a;b' --env x#y", {}, [], ["a;b", "--env", "x#y"]),
    ],
)
def test_the_words_around_a_command(
    line: str, variables: dict[str, str], wrapper: list[str], arguments: list[str]
) -> None:
    command = parse_command(split_line(line))
    assert command.program == "gunicorn"
    assert command.variables == variables
    assert command.wrapper == wrapper
    assert command.arguments == arguments


@pytest.mark.parametrize(
    "line",
    [
        "gunicorn -w 4 -b :1 -b unix:x --threads 2 -e A=b --access-logfile - --umask 027 --chdir /tmp a:b",
        "uvicorn a:b --host :: --port 80 --header 'X: \"y\"' --reload --reload-dir src",
        "granian --interface wsgi --access-log --access-log-fmt '%(time)s \"%(path)s\" %(dt_ms).3f' a:b",
        "hypercorn -b unix:x -k uvloop --websocket-ping-interval 5 --log-level INFO a:b",
        "daphne -u /run/d -e tcp:80 --root-path /x --ping-interval 5 a:b",
        "waitress-serve --listen='*:80 *:81' --url-prefix=/x --ident=me --max-request-body-size=5 a:b",
        "uwsgi --http-socket :80 -w a:b --mount /x=c:d --max-requests 5 --log-format '%(addr) \"%(uri)\" %(status)'",
        "mod_wsgi-express start-server a.wsgi --access-log --access-log-format combined --log-level crit",
    ],
)
def test_a_page_is_a_file_that_the_server_reads(line: str, nowhere: Path) -> None:
    page = read_page(line)
    configuration = load_page(page, nowhere)
    assert not configuration.warnings
    for name in page.given.keys() - {"app", "env", "host"}:
        assert "ianus.toml" in configuration.origins[name]
    assert "Not valid" not in page.text


# --- Hostile files ---


def refusal(*words: str) -> str:
    with pytest.raises(StartupError) as caught:
        migrate(words)
    return caught.value.message


def test_includes_are_counted_in_all(nowhere: Path) -> None:
    for number in range(10):
        (nowhere / f"{number}.ini").write_text(f"[uwsgi]\nini = {number + 1}.ini\nini = {number + 1}.ini\n")
    (nowhere / "10.ini").write_text("[uwsgi]\nmodule = main:app\n")
    assert "more than 20 files are included" in refusal("0.ini")


def test_placeholders_that_multiply(nowhere: Path) -> None:
    lines = ["x0 = aaaaaaaaaa", *(f"x{each} = {f'%(x{each - 1})' * 10}" for each in range(1, 12))]
    (nowhere / "a.ini").write_text("[uwsgi]\n" + "\n".join(lines))
    assert refusal("a.ini") == "x4 is longer than 65536 characters with its placeholders."


@pytest.mark.parametrize("name", ["a.ini", "Procfile", "unit.json", "hypercorn.toml"])
def test_a_file_that_is_too_large(name: str, nowhere: Path) -> None:
    (nowhere / name).write_text("#" * 262_145)
    assert refusal(name).startswith(f"{name} is larger than 256 KiB.")


def test_an_include_that_has_no_end(nowhere: Path) -> None:
    (nowhere / "device.ini").symlink_to("/dev/zero")
    (nowhere / "a.ini").write_text("[uwsgi]\nini = device.ini\n")
    assert refusal("a.ini") == "device.ini is not a file."


@pytest.mark.parametrize("word", ["a" * 5000, "sh -c " + "a" * 5000])
def test_words_that_are_too_long_for_a_file_name(word: str, nowhere: Path) -> None:
    assert "there is no such file" in refusal(word) or "No server is found" in refusal(word)


def test_texts_that_are_not_characters(nowhere: Path) -> None:
    (nowhere / "unit.json").write_text(
        '{"listeners": {"*:80": {"pass": "applications/a"}},'
        ' "applications": {"a": {"type": "python", "module": "\\ud800"}}}'
    )
    assert "'\\ud800', which is not a character" in refusal("unit.json")
    assert "'\\udcff', which is not a character" in refusal("gunicorn", "--name", "\udcff", "main:app")


def test_values_of_python_that_cannot_be_read(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text(
        "class Bad:\n    def __repr__(self): return 1 / 0\n    __str__ = __bool__ = __eq__ = __repr__\n"
        "timeout = Bad()\nworkers = [1]\nworkers.append(workers)\nother = Bad()\nbacklog = 10**5000\n"
    )
    page = read_page("gunicorn.conf.py")
    assert "timeout = A value that cannot be read (ZeroDivisionError: division by zero)" in page.notes
    assert "workers = A value that cannot be read (RecursionError" in page.notes
    assert "backlog = A value that cannot be read (ValueError" in page.notes


def test_lines_are_not_executed(nowhere: Path) -> None:
    (nowhere / "Procfile").write_text("web: touch made; gunicorn -w $(touch made) -n `touch made` main:app")
    (nowhere / "a.ini").write_text(
        "[uwsgi]\nmodule = a:b\nexec-pre-app = touch made\nprocesses = @(exec://touch made)\n"
    )
    migrate(["Procfile"])
    migrate(["a.ini"])
    migrate(["sh", "-c", "touch made && gunicorn main:app"])
    assert not (nowhere / "made").exists()


def test_the_prefix_of_waitress_names_the_setting_for_the_other_kind_of_proxy() -> None:
    assert "root_path, if the proxy strips it from requests" in migrate(["waitress-serve", "--url-prefix=/x", "a:b"])


@for_each_row(
    ("name", "content"),
    [("x.py", "reload = False\n"), ("hypercorn.py", "use_reloader = False\n"), ("hypercorn.toml", "certfile = ''\n")],
)
def test_a_setting_that_changes_nothing_is_one_of_the_server(name: str, content: str, nowhere: Path) -> None:
    (nowhere / name).write_text(content)
    assert "Defaults of " in migrate([name])
