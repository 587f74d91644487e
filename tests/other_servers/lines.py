"""Command lines of other servers, as they are in public files, with their outcome here.

Names of applications and hosts are neutral. Each line is a different shape. `python -m tests.other_servers` prints the
shares of those that serve.
"""

from typing import NamedTuple

VARIABLES = {"PORT": "8123", "WORKERS": "2", "HOST": "127.0.0.1"}
EVERY = "0.0.0.0"


class Line(NamedTuple):
    """A line of another server: the program, its options, and the application.

    interface: of the application. addresses: those that the server listens on, separated by spaces.
    warnings: a pattern for each warning, in their order.
    problems: patterns of all problems, if the line is refused. exit_code: with problems.
    later: they are about features that are not there yet.
    environment: variables. fd: the number at which a listening socket is inherited, or -1.
    """

    name: str
    text: str
    app: str
    interface: str
    addresses: str = "127.0.0.1:8000"
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    exit_code: int = 2
    later: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    fd: int = -1

    @property
    def server(self) -> str:
        return self.text.partition(" ")[0]


GREENLETS = r"--worker-class \S+ has no effect: calls run in threads, at most --max-threads at once, and no module is"
ONE_KIND = r"--worker-class \S+ has no effect: Ianus has one kind of worker"
NO_FILES = "--worker-tmp-dir /dev/shm has no effect: no files are used to watch workers"
NO_CERTIFICATE = r"\S+ of --ssl-certfile cannot be read: No such file or directory"

GE2 = "--bind 0.0.0.0:8000 --log-file=- --worker-tmp-dir /dev/shm --workers=2 --threads=4"

GUNICORN = (
    Line("G01", "gunicorn app:app", "app:app", "wsgi"),
    Line("G02", "gunicorn project.wsgi", "project.wsgi", "wsgi"),
    Line(
        "G04",
        "gunicorn 'app:create_app()' --bind 127.0.0.1:5000 --workers 1 --threads 4 --timeout 45 --graceful-timeout 30"
        " --keep-alive 5 --max-requests 1000 --max-requests-jitter 100 --access-logfile /dev/null --error-logfile -"
        " --log-level warning --logger-class server.logs.QuietLogger",
        "app:create_app()",
        "wsgi",
        "127.0.0.1:5000",
        (r"--logger-class server.logs.QuietLogger has no effect: --log-config sets up Python's logging",),
    ),
    Line(
        "G05",
        "gunicorn --bind :$PORT --workers 1 --threads 8 --timeout 0 app:app",
        "app:app",
        "wsgi",
        f"{EVERY}:8123 [::]:8123",
    ),
    Line(
        "G07",
        "gunicorn --worker-class gthread --workers 1 --threads 20 --timeout 3600 --bind 0.0.0.0:$PORT app:app",
        "app:app",
        "wsgi",
        f"{EVERY}:8123",
        (ONE_KIND,),
    ),
    Line(
        "G08",
        "gunicorn --bind 0.0.0.0:5000 --workers 4 --threads 2 --timeout 60 --access-logfile - --error-logfile -"
        " run:app",
        "run:app",
        "wsgi",
        f"{EVERY}:5000",
    ),
    Line(
        "G10",
        "gunicorn -k geventwebsocket.gunicorn.workers.GeventWebSocketWorker -b :80 -w 5 run:app",
        "run:app",
        "wsgi",
        f"{EVERY}:80 [::]:80",
        (GREENLETS,),
    ),
    Line(
        "G11",
        "gunicorn --worker-class eventlet -w 1 --bind 0.0.0.0:1338 --timeout 120 --keep-alive 2 --max-requests 1000"
        " --max-requests-jitter 100 app:app",
        "app:app",
        "wsgi",
        f"{EVERY}:1338",
        (GREENLETS,),
    ),
    Line(
        "G13",
        "gunicorn --workers 5 --bind 0.0.0.0:$PORT --statsd-host telegraf.web:8125 --statsd-prefix site project.wsgi",
        "project.wsgi",
        "wsgi",
        f"{EVERY}:8123",
    ),
    Line(
        "G14",
        "gunicorn project.wsgi:application --workers=2 --bind 0.0.0.0:8000 --access-logfile '-' --statsd-host h:8125",
        "project.wsgi:application",
        "wsgi",
        f"{EVERY}:8000",
    ),
    Line(
        "G16",
        "gunicorn manage:app --worker-class geventwebsocket.gunicorn.workers.GeventWebSocketWorker --worker-connections"
        " 1000 --timeout 30 -b 0.0.0.0:8000 --reload --log-syslog",
        "manage:app",
        "wsgi",
        f"{EVERY}:8000",
        (GREENLETS,),
    ),
    Line(
        "G17",
        "gunicorn app:app load_extra -k gevent -w 1 -b 0.0.0.0:5001 --max-requests 30000 --max-requests-jitter"
        " 30000 -D",
        "app:app",
        "wsgi",
        problems=(
            "No such option: -D. The server runs in the foreground; start it with systemd",
            "Only one application can be served at /, but 2 are given: app:app load_extra",
        ),
    ),
    Line(
        "G19",
        "gunicorn --worker-class=gevent --graceful-timeout 2 -t 9999 -b 0.0.0.0:80 --worker-tmp-dir /dev/shm"
        " --access-logfile - --reload app:app",
        "app:app",
        "wsgi",
        f"{EVERY}:80",
        (GREENLETS, NO_FILES),
    ),
    Line(
        "G20",
        "gunicorn --bind 0.0.0.0:8000 -k gthread --worker-tmp-dir /dev/shm --no-sendfile --forwarded-allow-ips '*'"
        " project.wsgi:application",
        "project.wsgi:application",
        "wsgi",
        f"{EVERY}:8000",
        (ONE_KIND, NO_FILES),
    ),
    Line(
        "G22",
        "gunicorn taskpps.main:app --worker-class uvicorn.workers.UvicornWorker --bind 0.0.0.0:26521 --workers 2"
        " --worker-tmp-dir /dev/shm --timeout 120 --graceful-timeout 30 --access-logfile access.log"
        " --error-logfile error.log --log-level info --capture-output",
        "taskpps.main:app",
        "asgi",
        f"{EVERY}:26521",
        (ONE_KIND, NO_FILES),
    ),
    Line(
        "G23",
        "gunicorn main:app --workers 2 --bind 0.0.0.0:8000 --access-logfile - --error-logfile - --worker-class"
        " project.workers.MyWorker --logger-class project.logs.MyLogger",
        "main:app",
        "asgi",
        f"{EVERY}:8000",
        (f"{ONE_KIND}; give the settings of this class as options", "--logger-class project.logs.MyLogger has no"),
    ),
    Line(
        "G25",
        "gunicorn --access-logfile=- --access-logformat"
        """ '%({x-forwarded-for}i)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'"""
        " --logger-class project.wsgi.TolerableLogger project.wsgi",
        "project.wsgi",
        "wsgi",
        warnings=("--logger-class project.wsgi.TolerableLogger has no effect",),
    ),
    Line(
        "G28",
        "gunicorn --certfile /certs/server.cert --keyfile /certs/server.key -b 0.0.0.0:443 -w 4 --timeout 300"
        " project.wsgi",
        "project.wsgi",
        "wsgi",
        problems=(NO_CERTIFICATE,),
        exit_code=3,
    ),
    Line(
        "G29",
        "gunicorn --worker-class gevent -w 1 wsgi:application --chdir ./src/ --bind 0.0.0.0:$PORT",
        "src/wsgi.py:application",
        "wsgi",
        f"{EVERY}:8123",
        (GREENLETS,),
    ),
    Line(
        "GE0",
        "gunicorn --pythonpath lib -e A=b -p run.pid --reuse-port wsgi",
        "lib/wsgi.py",
        "wsgi",
        "127.0.0.1:8000",
        ("--reuse-port has no effect: connections are spread over the workers without it",),
    ),
    Line(
        "GE1",
        "gunicorn app:app",
        "app:app",
        "wsgi",
        f"{EVERY}:8000",
        environment=(("GUNICORN_CMD_ARGS", "--bind=0.0.0.0 --timeout 600"),),
    ),
    Line(
        "GE2",
        "gunicorn project.wsgi",
        "project.wsgi",
        "wsgi",
        f"{EVERY}:8000",
        ("GUNICORN_CMD_ARGS: --worker-tmp-dir /dev/shm", "GUNICORN_CMD_ARGS: --worker-class gthread"),
        environment=(("GUNICORN_CMD_ARGS", f"{GE2} --worker-class=gthread"),),
    ),
    Line(
        "GE4",
        "gunicorn app:app",
        "app:app",
        "wsgi",
        f"{EVERY}:5000",
        environment=(("GUNICORN_CMD_ARGS", "--bind=0.0.0.0:5000 --timeout=60 --workers=2 --access-logfile - -"),),
    ),
    # systemd listens on the path of --bind, and passes the socket.
    Line(
        "GE5",
        "gunicorn --access-logfile - --workers 3 --bind unix:gunicorn.sock project.wsgi:application",
        "project.wsgi:application",
        "wsgi",
        "gunicorn.sock",
        environment=(("LISTEN_FDS", "1"),),
        fd=3,
    ),
    Line("GE7", "gunicorn --bind fd://3 project.wsgi", "project.wsgi", "wsgi", "127.0.0.1:9000", fd=3),
)

UVICORN = (
    Line("U01", "uvicorn main:app --host 0.0.0.0 --port $PORT", "main:app", "asgi", f"{EVERY}:8123"),
    Line(
        "U03",
        "uvicorn main:app --host 0.0.0.0 --port $PORT --ws-ping-interval 20 --ws-ping-timeout 30",
        "main:app",
        "asgi",
        f"{EVERY}:8123",
    ),
    Line(
        "U04",
        "uvicorn main:app --host 0.0.0.0 --port 8000 --proxy-headers --forwarded-allow-ips '*'",
        "main:app",
        "asgi",
        f"{EVERY}:8000",
    ),
    Line(
        "U06",
        "uvicorn project.asgi:application --host 0.0.0.0 --port 8000 --workers 4 --timeout-graceful-shutdown 120"
        " --limit-concurrency 100",
        "project.asgi:application",
        "asgi",
        f"{EVERY}:8000",
    ),
    Line(
        "U07",
        "uvicorn app:app --host 0.0.0.0 --port 8000 --workers 4 --limit-concurrency 1000 --limit-max-requests 10000"
        " --timeout-keep-alive 65 --loop uvloop --http httptools",
        "app:app",
        "asgi",
        f"{EVERY}:8000",
    ),
    Line(
        "U09",
        "uvicorn main:app --loop uvloop --http httptools --limit-max-requests 10000 --timeout-keep-alive 75"
        " --timeout-graceful-shutdown 120 --ws-ping-interval 45 --ws-ping-timeout 30 --access-log --no-server-header"
        " --log-level info",
        "main:app",
        "asgi",
    ),
    Line(
        "U10",
        "uvicorn backend.app.main:app --host 0.0.0.0 --port 8000 --workers 1 --no-access-log --no-server-header"
        " --no-date-header --log-level warning --loop asyncio --http h11 --timeout-keep-alive 5",
        "backend.app.main:app",
        "asgi",
        f"{EVERY}:8000",
    ),
    Line(
        "U12",
        "uvicorn --uds app.socket --app-dir srv/app project.asgi:application",
        "srv/app/project/asgi.py:application",
        "asgi",
        "app.socket",
    ),
    Line(
        "U13",
        "uvicorn app.main:app --host 0.0.0.0 --port 8000 --ssl-certfile c.pem --ssl-keyfile k.pem"
        " --ssl-keyfile-password secret",
        "app.main:app",
        "asgi",
        problems=(NO_CERTIFICATE,),
        exit_code=3,
    ),
    Line(
        "U15",
        "uvicorn app.main:app --reload --reload-dir app --timeout-graceful-shutdown 2 --host 127.0.0.1 --port 16780",
        "app.main:app",
        "asgi",
        "127.0.0.1:16780",
    ),
    Line(
        "U16",
        "uvicorn main:app --fd 0 --root-path /api/v1 --env-file .env --lifespan on --interface asgi3 --ws websockets",
        "main:app",
        "asgi",
        "127.0.0.1:9000",
        fd=0,
    ),
    Line(
        "UE1",
        "uvicorn main:app",
        "main:app",
        "asgi",
        warnings=(
            "variables of Uvicorn in the environment have no effect: write IANUS_FORWARDED_ALLOW_IPS in place of",
        ),
        environment=(
            ("UVICORN_HOST", "0.0.0.0"),
            ("UVICORN_PORT", "8000"),
            ("UVICORN_WORKERS", "4"),
            ("UVICORN_TIMEOUT_KEEP_ALIVE", "75"),
            ("UVICORN_FORWARDED_ALLOW_IPS", "*"),
        ),
    ),
    Line(
        "UE2",
        "uvicorn main:app --host 0.0.0.0",
        "main:app",
        "asgi",
        f"{EVERY}:8000",
        environment=(("WEB_CONCURRENCY", "4"), ("FORWARDED_ALLOW_IPS", "*")),
    ),
)

GRANIAN = (
    Line(
        "R02",
        "granian --interface asgi --host 0.0.0.0 --port 8000 --workers 4 --log-level info main:app",
        "main:app",
        "asgi",
        f"{EVERY}:8000",
    ),
    Line(
        "R03",
        "granian --interface asgi main:app --host 0.0.0.0 --port 8000 --workers 4 --http auto --ws --backlog 2048"
        " --log-level info --access-log",
        "main:app",
        "asgi",
        f"{EVERY}:8000",
    ),
    Line(
        "R05",
        "granian --interface asgi --host 0.0.0.0 --port 4000 --reload --reload-ignore-dirs logs main:app",
        "main:app",
        "asgi",
        f"{EVERY}:4000",
    ),
    Line(
        "R06",
        "granian --interface wsgi --workers 2 --threads 1 --host 0.0.0.0 --port 8000 project.wsgi:application",
        "project.wsgi:application",
        "wsgi",
        f"{EVERY}:8000",
    ),
    Line(
        "R08",
        "granian main:app",
        "main:app",
        "asgi",
        warnings=("variables of Granian .*: write IANUS_INTERFACE=asgi and IANUS_LIFESPAN=off in place of GRANIAN",),
        environment=(
            ("GRANIAN_INTERFACE", "asginl"),
            ("GRANIAN_LOG_ACCESS_ENABLED", "1"),
            ("GRANIAN_RELOAD_PATHS", "src"),
            ("GRANIAN_WORKING_DIR", "src"),
            ("GRANIAN_WS", "0"),
        ),
    ),
    Line(
        "R09",
        "granian --interface wsgi --host :: --port 8080 --workers 4 --backpressure 4 --static-path-mount static"
        " --access-log --access-log-fmt '[%(time)s] %(addr)s - \"%(method)s %(path)s %(protocol)s\" %(status)d'"
        " --respawn-failed-workers project.wsgi:application",
        "project.wsgi:application",
        "wsgi",
        problems=("No such option: --static-path-mount. Static files are not supported yet",),
        later=True,
    ),
    Line(
        "R10",
        "granian --interface asginl --no-ws --working-dir src --blocking-threads 1 --runtime-mode st --task-impl"
        " asyncio --backpressure 4 --workers-kill-timeout 30s --process-name shop main:app",
        "src/main.py:app",
        "asgi",
        warnings=("--runtime-mode st has no effect", "--task-impl asyncio has no effect"),
    ),
)

HYPERCORN = (
    Line(
        "H02",
        "hypercorn --bind 0.0.0.0:8080 --keep-alive 10 --worker-class uvloop --workers 3 app:app",
        "app:app",
        "asgi",
        f"{EVERY}:8080",
    ),
    Line("H03", "hypercorn --bind unix:bot.sock -m 007 src/bot:app", "src/bot.py:app", "asgi", "bot.sock"),
    Line(
        "H05",
        "hypercorn --config hypercorn.toml --bind 0.0.0.0:8090 --workers 1 'main:create_app()'",
        "main:create_app()",
        "asgi",
        f"{EVERY}:8090",
    ),
    Line(
        "H07",
        "hypercorn --debug --bind 0.0.0.0 --access-log - main:app",
        "main:app",
        "asgi",
        f"{EVERY}:8000",
        ("--debug has no effect: --log-level debug logs more",),
    ),
)

DAPHNE = (
    Line(
        "D01", "daphne -b 0.0.0.0 -p 8000 project.asgi:application", "project.asgi:application", "asgi", f"{EVERY}:8000"
    ),
    Line(
        "D03",
        "daphne -u daphne0.sock --fd 0 --access-log - --proxy-headers project.asgi:application",
        "project.asgi:application",
        "asgi",
        "127.0.0.1:9000 daphne0.sock",
        fd=0,
    ),
    Line(
        "D04",
        "daphne --fd 3 project.asgi:application -v1 --proxy-headers",
        "project.asgi:application",
        "asgi",
        "127.0.0.1:9000",
        fd=3,
    ),
    Line(
        "D06",
        "daphne -t 600 --websocket_timeout 86400 --application-close-timeout 60 --ping-interval 20 --root-path /ws -p"
        " 8001 project.asgi:application",
        "project.asgi:application",
        "asgi",
        "127.0.0.1:8001",
        (
            "--http-timeout 600 has no effect: a request may take any time",
            "--websocket-timeout 86400 has no effect: a WebSocket may stay open for any time",
            "--application-close-timeout 60 has no effect: an application may continue after its client",
        ),
    ),
)

WAITRESS = (
    Line("W01", "waitress-serve --port=$PORT app:app", "app:app", "wsgi", "127.0.0.1:8123"),
    Line(
        "W03",
        "waitress-serve --listen=127.0.0.1:8000 --threads=16 --trusted-proxy=127.0.0.1"
        ' --trusted-proxy-headers="x-forwarded-proto x-forwarded-for" project.wsgi:application',
        "project.wsgi:application",
        "wsgi",
    ),
    Line(
        "W04",
        "waitress-serve --ident='' --listen=0.0.0.0:$PORT --threads=4 --trusted-proxy '*' --trusted-proxy-headers"
        " 'x-forwarded-proto' project.wsgi:application",
        "project.wsgi:application",
        "wsgi",
        f"{EVERY}:8123",
    ),
    Line(
        "W06",
        "waitress-serve --host=0.0.0.0 --port=8090 --url-scheme=https --url-prefix=/app --channel-timeout=300"
        " --connection-limit=500 --max-request-body-size=2147483648 app:server",
        "app:server",
        "wsgi",
        f"{EVERY}:8090",
    ),
)

# uWSGI has another language of options, which `ianus migrate` reads. They are not part of the shares.
ADDRESS = "No such option: --http-socket. Use --bind, as in --bind 0.0.0.0:8000"
APPLICATION = r"No such option: --\S+. Name the application without an option, as in `ianus main:app`."
UWSGI = (
    Line(
        "S01",
        "uwsgi --http-socket :$PORT --wsgi-file app.py --callable app",
        "app:app",
        "wsgi",
        problems=(ADDRESS, APPLICATION, APPLICATION),
    ),
    Line(
        "S03",
        "uwsgi --http-socket 0.0.0.0:8000 --module project.wsgi:application --workers 4 --threads 2 --master --vacuum",
        "project.wsgi:application",
        "wsgi",
        problems=(ADDRESS, APPLICATION),
    ),
    Line(
        "S10",
        "uwsgi --ini app.ini",
        "app:app",
        "wsgi",
        problems=("No such option: --ini. Settings are read from ianus.toml. `ianus migrate FILE` prints it for",),
    ),
)

LINES = (*GUNICORN, *UVICORN, *GRANIAN, *HYPERCORN, *DAPHNE, *WAITRESS)
