"""Shapes of gunicorn.conf.py that are found in public repositories, with neutral names.

{port} is a free port. Each is a file of its own in the current directory, unless `option` names another place.
"""

from typing import NamedTuple


class Shape(NamedTuple):
    """A configuration.

    text: of the file. workers: that it asks for. name: of the file. option: of the line. application: of the line.
    binds: besides the port. own_log: the access logs differ, for the reason after "Log:".
    """

    text: str
    workers: int
    name: str = "gunicorn.conf.py"
    option: tuple[str, ...] = ()
    application: str = "app:app"
    binds: tuple[str, ...] = ()
    own_log: bool = False


SHAPES = {
    "environment": Shape(
        r"""
import multiprocessing
import os

bind = f"127.0.0.1:{os.getenv('TEST_PORT', '8080')}"
backlog = 2048
workers = int(os.getenv("TEST_WORKERS", max(2, multiprocessing.cpu_count())))
worker_class = "uvicorn.workers.UvicornWorker"
worker_connections = 1000
max_requests = 1000
max_requests_jitter = 50
preload_app = True
timeout = 300
graceful_timeout = 30
keepalive = 5
max_worker_memory = 150
worker_tmp_dir = "/dev/shm"
accesslog = "-"
errorlog = "-"
loglevel = "info"
access_log_format = '%(h)s %(l)s %(u)s "%(r)s" %(s)s "%(f)s" "%(a)s"'
""",
        workers=2,
        application="asgi_app:app",
        own_log=True,  # Log: uvicorn's workers have a format of their own.
    ),
    "numbers": Shape(
        """
bind = "127.0.0.1:{port}"
workers = 3
keepalive = 75
backlog = 2000
worker_connections = 1000
timeout = 120
graceful_timeout = 10
# statsd_host = 'localhost:8125'
""",
        workers=3,
        own_log=True,  # Log: without `accesslog`, Ianus writes one, and gunicorn does not.
    ),
    "logger class": Shape(
        """
import logging

from gunicorn import glogging


class CustomLogger(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        logging.getLogger("gunicorn.access").addFilter(HealthFilter())


class HealthFilter(logging.Filter):
    def filter(self, record):
        return "/static/" not in record.getMessage()


bind = ["127.0.0.1:{port}"]
capture_output = True
logger_class = CustomLogger
accesslog = "-"
access_log_format = '%(m)s %(U)s %(s)s'
""",
        workers=1,
        own_log=True,  # Log: the filter of the class has no effect.
    ),
    "telemetry": Shape(
        """
bind = "127.0.0.1:{port}"
workers = 2
accesslog = None


def on_starting(server):
    record("on_starting")


def when_ready(server):
    record("when_ready")


def pre_fork(server, worker):
    record("pre_fork")


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
    record("post_fork")


def post_worker_init(worker):
    record("post_worker_init")


def worker_int(worker):
    record("worker_int")


def worker_abort(worker):
    record("worker_abort")


def pre_request(worker, req):
    worker.log.debug("%s %s" % (req.method, req.path))
    record(f"pre_request {req.method} {req.path} {req.query}")


def post_request(worker, req, environ, resp):
    record(f"post_request {environ['PATH_INFO']} {resp.status}")


def child_exit(server, worker):
    assert worker.pid > 0
    record("child_exit")


def worker_exit(server, worker):
    record("worker_exit")


def on_reload(server):
    record("on_reload")


def on_exit(server):
    record("on_exit")


def record(line):
    with open("hooks.log", "a") as file:
        file.write(line + "\\n")
""",
        workers=2,
    ),
    "marker file": Shape(
        """
# Behind nginx of a buildpack, which waits for this file.
bind = ['unix:app.sock', '127.0.0.1:{port}']
worker_class = "gthread"
threads = 4


def when_ready(server):
    open("app-initialized", "w").close()
    with open("hooks.log", "a") as file:
        file.write("when_ready\\n")
""",
        workers=1,
        binds=("app.sock",),
        own_log=True,  # Log: without `accesslog`, Ianus writes one, and gunicorn does not.
    ),
    "calculated": Shape(
        """
import json
import multiprocessing
import os

workers_per_core = float(os.getenv("WORKERS_PER_CORE", "1"))
cores = multiprocessing.cpu_count()
host = os.getenv("HOST_OF_TEST", "127.0.0.1")
port = "{port}"
use_loglevel = os.getenv("LOG_LEVEL", "info")
use_bind = f"{{host}}:{{port}}"
web_concurrency = max(int(workers_per_core * cores), 2)
accesslog_var = os.getenv("ACCESS_LOG", "-")
use_accesslog = accesslog_var or None

loglevel = use_loglevel
workers = min(web_concurrency, 2)
bind = use_bind
errorlog = "-"
worker_tmp_dir = "/dev/shm"
accesslog = use_accesslog
access_log_format = "%(r)s | %(s)s | %({{x-request-id}}i)s"
graceful_timeout = int("120")
timeout = int("120")
keepalive = int("5")

log_data = {{"loglevel": loglevel, "workers": workers, "bind": bind, "host": host, "port": port}}
print(json.dumps(log_data))
""",
        workers=2,
    ),
    "all settings": Shape(
        """
bind = '127.0.0.1:{port}'
backlog = 2048
workers = 1
worker_class = 'sync'
worker_connections = 1000
timeout = 30
keepalive = 2
spew = False
daemon = False
raw_env = ['TEST_MARK=from the file', 'SPAM=eggs']
pidfile = 'app.pid'
umask = 0
user = None
group = None
tmp_upload_dir = None
errorlog = '-'
loglevel = 'info'
accesslog = '-'
access_log_format = '%(h)s %(l)s %(u)s "%(r)s" %(s)s "%(f)s" "%(a)s"'
proc_name = None
statsd_host = None
certfile = None
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = '127.0.0.1'
""",
        workers=1,
    ),
    "logging": Shape(
        """
bind = "127.0.0.1:{port}"
accesslog = "-"
access_log_format = "%(m)s %(U)s %(s)s"
logconfig_dict = {{
    "version": 1,
    "disable_existing_loggers": False,
    "root": {{"level": "INFO", "handlers": ["console"]}},
    "loggers": {{
        "gunicorn.error": {{"level": "INFO", "handlers": ["console"], "propagate": False}},
        "gunicorn.access": {{"level": "INFO", "handlers": ["access"], "propagate": False}},
    }},
    "handlers": {{
        "console": {{"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}},
        "access": {{"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stdout"}},
    }},
    "formatters": {{
        "generic": {{"format": "server %(levelname)s %(message)s", "class": "logging.Formatter"}},
        "access": {{"format": "access %(message)s", "class": "logging.Formatter"}},
    }},
}}
""",
        workers=1,
    ),
    "module": Shape(
        """
from project.values import WORKERS as workers

bind = "127.0.0.1:{port}"
accesslog = "access.log"
access_log_format = "%(m)s %(U)s %(s)s"
preload_app = True
""",
        workers=2,
        name="project/gunicorn_config.py",
        option=("--config", "python:project.gunicorn_config"),
    ),
    "named file": Shape(
        """
import os.path

wsgi_app = "app:app"
bind = "127.0.0.1:{port}"
workers = 2
threads = 1
accesslog = os.path.join(os.path.dirname(__file__), "access.log")
access_log_format = "%(m)s %(U)s %(s)s"


def post_fork(server, worker):
    import app  # The directory of the server is on the path.

    worker.log.info("forked")
    with open("hooks.log", "a") as file:
        file.write("post_fork\\n")


def post_request(worker, req):
    with open("hooks.log", "a") as file:
        file.write("post_request\\n")
""",
        workers=2,
        name="config/server.py",
        option=("-c", "config/server.py"),
        application="",
    ),
}
