"""A Pyramid application as its tutorial builds them: routes, renderers, sessions, static files, exception views."""

# Pyramid has no types.
# mypy: disable-error-code="untyped-decorator"

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPNoContent, HTTPNotFound
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from pyramid.session import JSONSerializer, SignedCookieSessionFactory
from pyramid.view import exception_view_config, notfound_view_config, view_config

from tests.e2e.apps import report
from tests.frameworks.latches import latch
from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_common import FILES, broken, digest_of, endless, lines, news, report_shutdown, together

report_shutdown()

# --- Paths that all applications of this folder have ---


@view_config(route_name="hello", request_method="GET")
def hello(request: Request) -> Response:
    return Response("hello\n", content_type="text/plain")


@view_config(route_name="who", renderer="json")
def who(request: Request) -> dict[str, Any]:
    return {
        "client": request.client_addr,
        "url": request.url,
        "echo": request.route_url("echo", name="you"),
        "script_name": request.script_name,
        "path": request.path_info,
        "tokens": request.headers.get("X-Token"),
        "cookies": dict(request.cookies),
    }


@view_config(route_name="echo", renderer="json")
def echo(request: Request) -> dict[str, Any]:
    return {"name": request.matchdict["name"]}


@view_config(route_name="cookies", renderer="json")
def set_cookies(request: Request) -> dict[str, Any]:
    request.response.set_cookie("one", "1")
    request.response.set_cookie("two", "2")
    return {}


@view_config(route_name="digest", request_method="POST", renderer="json")
def digest(request: Request) -> dict[str, object]:
    return digest_of(request.body_file)


@view_config(route_name="upload", request_method="POST", renderer="json")
def upload(request: Request) -> dict[str, Any]:
    file = request.POST["file"]
    return {"name": file.filename, **digest_of(file.file), "note": request.POST["note"]}


@view_config(route_name="stream")
def stream(request: Request) -> Response:
    return Response(app_iter=lines(int(request.params["count"])), content_type="text/plain")


@view_config(route_name="news")
def read_news(request: Request) -> Response:
    return Response(app_iter=news(request.matchdict["name"]))


@view_config(route_name="endless")
def read_endless(request: Request) -> Response:
    return Response(app_iter=endless(request.matchdict["name"]))


@view_config(route_name="file")
def file(request: Request) -> Response:
    response = FileResponse(str(FILES / "large.bin"), request)
    response.content_disposition = "attachment; filename=download.bin"
    return response


@view_config(route_name="meet", renderer="json")
def meet(request: Request) -> dict[str, Any]:
    return {"place": together.wait(20)}


@view_config(route_name="fail")
def fail(request: Request) -> Response:
    raise LookupError("raised on purpose")


@view_config(route_name="fail-inside")
def fail_inside(request: Request) -> Response:
    return Response(app_iter=broken())


@view_config(route_name="open", request_method="POST")
def open_latch(request: Request) -> Response:
    latch(request.matchdict["name"]).open()
    return HTTPNoContent()


# --- Views ---


@view_config(route_name="visits", renderer="json")
def count_visits(request: Request) -> dict[str, Any]:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return {"visits": request.session["visits"]}


@view_config(route_name="flash")
def flash(request: Request) -> Response:
    request.session.flash("Your changes were saved.")
    return HTTPFound(request.route_url("flashed"))


@view_config(route_name="flashed", renderer="json")
def flashed(request: Request) -> dict[str, Any]:
    return {"messages": request.session.pop_flash()}


@view_config(route_name="method", request_method="PUT", renderer="string")
def put(request: Request) -> str:
    return f"put {request.json_body['name']}"


@view_config(route_name="method", request_method="GET", xhr=True, renderer="string")
def get_script(request: Request) -> str:
    return "for a script"


@view_config(route_name="later", renderer="string")
def later(request: Request) -> str:
    request.add_response_callback(lambda request, response: response.headers.add("X-Callback", "called"))
    request.add_finished_callback(lambda request: report("finished", request.matchdict["name"]))
    return "soon"


@view_config(route_name="conditional")
def conditional(request: Request) -> Response:
    return Response("whole", etag="one", conditional_response=True)


@view_config(route_name="assets", renderer="json")
def assets(request: Request) -> dict[str, Any]:
    return {"url": request.static_url(str(FILES / "small.txt"))}


# --- Errors ---


class TakenError(Exception):
    pass


@view_config(route_name="taken")
def taken(request: Request) -> Response:
    raise TakenError("the name is taken")


@exception_view_config(TakenError, renderer="json")
def show_taken(error: TakenError, request: Request) -> dict[str, Any]:
    request.response.status = 409
    return {"error": str(error)}


@notfound_view_config(append_slash=True, renderer="json")
def not_found(request: Request) -> dict[str, Any]:
    request.response.status = 404
    return {"missing": request.path}


@view_config(route_name="folder", renderer="string")
def folder(request: Request) -> str:
    if "hidden" in request.params:
        raise HTTPNotFound
    return "in a folder"


# --- The application ---


def timing_tween(handler: Callable[[Request], Response], registry: Registry) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        response = handler(request)
        response.headers["X-Tween"] = "passed"
        return response

    return handle


with Configurator() as config:
    config.set_session_factory(SignedCookieSessionFactory("not in production", serializer=JSONSerializer()))
    config.add_tween(f"{__name__}.timing_tween")
    for name in (
        *("hello", "who", "echo/{name}", "cookies", "digest", "upload", "stream", "news/{name}", "endless/{name}"),
        *("file", "meet", "fail", "fail-inside", "open/{name}"),
        *("visits", "flash", "flashed", "method", "later/{name}", "conditional", "assets", "taken", "folder/"),
    ):
        config.add_route(name.partition("/")[0], f"/{name}")
    config.add_static_view("static", str(FILES), cache_max_age=3600)
    config.scan(__name__)
    app = config.make_wsgi_app()

validated = validate(app)
