"""A Bottle application as its tutorial builds them: routes, templates, signed cookies, static files, mounts."""

# Bottle has no types.
# mypy: disable-error-code="untyped-decorator"

import json
from collections.abc import Iterator
from urllib.parse import urljoin

from bottle import (
    Bottle,
    HTTPError,
    HTTPResponse,
    abort,
    redirect,
    request,
    response,
    static_file,
    template,
)

from tests.frameworks.latches import latch
from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_app import wsgi_app
from tests.frameworks.wsgi_common import FILES, broken, digest_of, endless, lines, news, report_shutdown, together

report_shutdown()

app = Bottle()
SECRET = "not in production"

# --- Paths that all applications of this folder have ---


@app.get("/hello")
def hello() -> str:
    response.content_type = "text/plain"
    return "hello\n"


@app.get("/who")
def who() -> dict[str, object]:
    return {
        "client": request.remote_addr,
        "url": request.url,
        "echo": urljoin(request.url, app.get_url("echo", name="you")),
        "script_name": request.environ["SCRIPT_NAME"],
        "path": request.path,
        "tokens": request.get_header("X-Token"),
        "cookies": dict(request.cookies),
    }


@app.get("/echo/<name>", name="echo")
def echo(name: str) -> dict[str, object]:
    return {"name": name}


@app.get("/cookies")
def set_cookies() -> dict[str, object]:
    response.set_cookie("one", "1", path="/")
    response.set_cookie("two", "2", path="/")
    return {}


@app.post("/digest")
def digest() -> dict[str, object]:
    return digest_of(request.body)


@app.post("/upload")
def upload() -> dict[str, object]:
    file = request.files["file"]
    return {"name": file.raw_filename, **digest_of(file.file), "note": request.forms.note}


@app.get("/stream")
def stream() -> Iterator[bytes]:
    response.content_type = "text/plain"
    return lines(int(request.query.count))


@app.get("/news/<name>")
def read_news(name: str) -> Iterator[bytes]:
    return news(name)


@app.get("/endless/<name>")
def read_endless(name: str) -> Iterator[bytes]:
    return endless(name)


@app.get("/file")
def file() -> HTTPResponse:
    return static_file("large.bin", root=str(FILES), download="download.bin")


@app.get("/meet")
def meet() -> dict[str, object]:
    return {"place": together.wait(20)}


@app.get("/fail")
def fail() -> None:
    raise LookupError("raised on purpose")


@app.get("/fail-inside")
def fail_inside() -> Iterator[bytes]:
    return broken()


@app.post("/open/<name>")
def open_latch(name: str) -> HTTPResponse:
    latch(name).open()
    return HTTPResponse(status=204)


# --- Templates, cookies, files ---


@app.get("/list")
def show_list() -> str:
    items = request.query.decode().getall("item")
    return str(template("<ul>\n% for item in items:\n  <li>{{item}}</li>\n% end\n</ul>", items=items))


@app.get("/visits")
def count_visits() -> dict[str, object]:
    visits = request.get_cookie("visits", default=0, secret=SECRET) + 1
    response.set_cookie("visits", visits, secret=SECRET, path="/")
    return {"visits": visits}


@app.get("/static/<name:path>")
def send_static(name: str) -> HTTPResponse:
    return static_file(name, root=str(FILES))


@app.get("/opened")
def send_open_file() -> object:
    """An open file goes through wsgi.file_wrapper, from where it stands."""
    response.content_type = "text/plain"
    opened = (FILES / "small.txt").open("rb")
    opened.seek(int(request.query.start))
    return opened


@app.post("/json")
def read_json() -> dict[str, object]:
    return {"input": request.json}


# --- Hooks and errors ---


@app.hook("after_request")
def add_header() -> None:
    response.set_header("X-Hook", "called")


@app.error(404)
def error404(error: HTTPError) -> str:
    response.content_type = "application/json"
    return json.dumps({"missing": request.path})


@app.get("/teapot")
def teapot() -> None:
    abort(418, "short and stout")


@app.get("/old")
def old() -> None:
    redirect("/hello")


# --- Another application below a prefix ---

app.mount("/inner/", wsgi_app)

validated = validate(app)
