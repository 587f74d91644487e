"""A WSGI application of Werkzeug's parts, as its tutorial puts them together: routing, requests, middleware."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, UnprocessableEntity
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.routing import Map, MapAdapter, Rule
from werkzeug.utils import redirect, send_file
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import ClosingIterator

from tests.e2e.apps import report
from tests.frameworks.latches import latch
from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_common import FILES, broken, digest_of, endless, lines, news, report_shutdown, together

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

report_shutdown()

Endpoint = Callable[..., Response]
rules: list[Rule] = []


def route(path: str, *methods: str) -> Callable[[Endpoint], Endpoint]:
    def register(endpoint: Endpoint) -> Endpoint:
        rules.append(Rule(path, endpoint=endpoint, methods=methods or ["GET"]))
        return endpoint

    return register


def shown(value: object) -> Response:
    return Response(json.dumps(value), mimetype="application/json")


# --- Paths that all applications of this folder have ---


@route("/hello")
def hello(request: Request, urls: MapAdapter) -> Response:
    return Response("hello\n")


@route("/who")
def who(request: Request, urls: MapAdapter) -> Response:
    return shown(
        {
            "client": request.remote_addr,
            "url": request.url,
            "echo": urls.build(echo, {"name": "you"}, force_external=True),
            "script_name": request.root_path,
            "path": request.path,
            "tokens": request.headers.get("X-Token"),
            "cookies": request.cookies,
        }
    )


@route("/echo/<name>")
def echo(request: Request, urls: MapAdapter, name: str) -> Response:
    return shown({"name": name})


@route("/cookies")
def set_cookies(request: Request, urls: MapAdapter) -> Response:
    response = shown({})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@route("/digest", "POST")
def digest(request: Request, urls: MapAdapter) -> Response:
    return shown(digest_of(request.stream))


@route("/upload", "POST")
def upload(request: Request, urls: MapAdapter) -> Response:
    file = request.files["file"]
    return shown({"name": file.filename, **digest_of(file.stream), "note": request.form["note"]})


@route("/stream")
def stream(request: Request, urls: MapAdapter) -> Response:
    return Response(lines(int(request.args["count"])))


@route("/news/<name>")
def read_news(request: Request, urls: MapAdapter, name: str) -> Response:
    return Response(news(name))


@route("/endless/<name>")
def read_endless(request: Request, urls: MapAdapter, name: str) -> Response:
    return Response(endless(name))


@route("/file")
def file(request: Request, urls: MapAdapter) -> Response:
    return send_file(
        FILES / "large.bin", request.environ, as_attachment=True, download_name="download.bin", conditional=True
    )


@route("/meet")
def meet(request: Request, urls: MapAdapter) -> Response:
    return shown({"place": together.wait(20)})


@route("/fail")
def fail(request: Request, urls: MapAdapter) -> Response:
    raise LookupError("raised on purpose")


@route("/fail-inside")
def fail_inside(request: Request, urls: MapAdapter) -> Response:
    return Response(broken())


@route("/open/<name>", "POST")
def open_latch(request: Request, urls: MapAdapter, name: str) -> Response:
    latch(name).open()
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


# --- Requests and responses ---


@route("/folder/")
def folder(request: Request, urls: MapAdapter) -> Response:
    return redirect(urls.build(echo, {"name": "from folder"}))


@route("/form", "POST")
def read_form(request: Request, urls: MapAdapter) -> Response:
    """Any other kind of content is refused."""
    if not request.form:
        raise UnprocessableEntity("a form, please")
    return shown({"form": request.form.to_dict(flat=False), "query": request.args.to_dict(flat=False)})


@route("/json", "POST")
def read_json(request: Request, urls: MapAdapter) -> Response:
    return shown({"input": request.json})


@route("/rest/<int:size>", "POST")
def read_some(request: Request, urls: MapAdapter, size: int) -> Response:
    """Reads a part of the body; the rest must not be read as a request."""
    return Response(request.stream.read(size))


@route("/cached")
def cached(request: Request, urls: MapAdapter) -> Response:
    response = Response("cached " * 1000, mimetype="text/plain")
    response.last_modified = datetime(2026, 1, 1, tzinfo=UTC)
    response.add_etag()
    return response.make_conditional(request, accept_ranges=True, complete_length=7000)


@route("/written")
def written(request: Request, urls: MapAdapter) -> Response:
    response = Response(mimetype="text/plain")
    for number in range(3):
        response.stream.write(b"%d\n" % number)
    return response


# --- The application and its middleware ---


def dispatch(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    urls = url_map.bind_to_environ(environ)
    response: WSGIApplication
    try:
        endpoint, arguments = urls.match()
        response = endpoint(Request(environ), urls, **arguments)
    except HTTPException as error:
        response = error
    return ClosingIterator(response(environ, start_response), lambda: report("closed", environ["PATH_INFO"]))


def inner(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    request = Request(environ)
    return shown({"script_name": request.root_path, "path": request.path, "url": request.url})(environ, start_response)


url_map = Map(rules)
with_files = SharedDataMiddleware(dispatch, {"/shared": str(FILES)})
app: "WSGIApplication" = DispatcherMiddleware(with_files, {"/inner": inner})
validated = validate(app)
