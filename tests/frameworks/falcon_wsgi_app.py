"""A Falcon application as its WSGI tutorial and guides build them: resources, hooks, media, streams, static files."""

from typing import Any

import falcon
from falcon import Request, Response
from falcon.media.multipart import MultipartFormHandler

from tests.frameworks.latches import latch
from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_common import FILES, broken, digest_of, endless, lines, news, report_shutdown, together

report_shutdown()

# --- Paths that all applications of this folder have ---


class Hello:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "hello\n"

    def on_head(self, req: Request, resp: Response) -> None:
        self.on_get(req, resp)


class Who:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {
            "client": req.remote_addr,
            "url": req.url,
            "echo": f"{req.prefix}/echo/you",
            "script_name": req.root_path,
            "path": req.path,
            "tokens": req.get_header("X-Token"),
            "cookies": req.cookies,
        }


class Echo:
    def on_get(self, req: Request, resp: Response, name: str) -> None:
        resp.media = {"name": name}


class Cookies:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.set_cookie("one", "1", secure=False)
        resp.set_cookie("two", "2", secure=False)


class Digest:
    def on_post(self, req: Request, resp: Response) -> None:
        resp.media = digest_of(req.bounded_stream)


class Upload:
    def on_post(self, req: Request, resp: Response) -> None:
        answer: dict[str, Any] = {}
        for part in req.get_media():
            if part.filename:
                answer |= {"name": part.filename, **digest_of(part.stream)}
            else:
                answer[part.name] = part.get_text()
        resp.media = answer


class Streams:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = lines(req.get_param_as_int("count", required=True))

    def on_get_news(self, req: Request, resp: Response, name: str) -> None:
        resp.stream = news(name)

    def on_get_endless(self, req: Request, resp: Response, name: str) -> None:
        resp.stream = endless(name)

    def on_get_broken(self, req: Request, resp: Response) -> None:
        resp.stream = broken()


class File:
    def on_get(self, req: Request, resp: Response) -> None:
        """Through wsgi.file_wrapper, as Falcon does with any object that has a read()."""
        path = FILES / "large.bin"
        resp.set_stream(path.open("rb"), path.stat().st_size)
        resp.downloadable_as = "download.bin"

    def on_head(self, req: Request, resp: Response) -> None:
        self.on_get(req, resp)


class Meet:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"place": together.wait(20)}


class Fail:
    def on_get(self, req: Request, resp: Response) -> None:
        raise LookupError("raised on purpose")


class Gates:
    def on_post(self, req: Request, resp: Response, name: str) -> None:
        latch(name).open()
        resp.status = falcon.HTTP_204


# --- An API ---


class Quote:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"quote": "I've always been more interested in the future than in the past.", "author": "Hopper"}


def check_name(req: Request, resp: Response, resource: object, params: dict[str, Any]) -> None:
    if not params["name"].isalpha():
        raise falcon.HTTPBadRequest(title="Bad name", description="Letters only.")


class Images:
    def __init__(self) -> None:
        self._images: dict[str, Any] = {}

    @falcon.before(check_name)
    def on_put(self, req: Request, resp: Response, name: str) -> None:
        self._images[name] = req.get_media()
        resp.status = falcon.HTTP_201
        resp.location = f"/images/{name}"

    def on_get(self, req: Request, resp: Response, name: str) -> None:
        if name not in self._images:
            raise falcon.HTTPNotFound(title="No such image")
        resp.media = self._images[name]

    def on_delete(self, req: Request, resp: Response, name: str) -> None:
        self._images.pop(name, None)
        resp.status = falcon.HTTP_204


class Etag:
    def on_get(self, req: Request, resp: Response) -> None:
        etag = falcon.ETag("one")
        resp.etag = etag
        if etag in (req.if_none_match or []):
            resp.status = falcon.HTTP_304
        else:
            resp.text = "whole"


def proxy(req: Request, resp: Response, **parts: str) -> None:
    """A sink: all paths below a prefix."""
    resp.media = parts | {"query": req.query_string}


app = falcon.App()
app.req_options.media_handlers[falcon.MEDIA_MULTIPART] = MultipartFormHandler()
streams = Streams()
app.add_route("/hello", Hello())
app.add_route("/who", Who())
app.add_route("/echo/{name}", Echo())
app.add_route("/cookies", Cookies())
app.add_route("/digest", Digest())
app.add_route("/upload", Upload())
app.add_route("/stream", streams)
app.add_route("/news/{name}", streams, suffix="news")
app.add_route("/endless/{name}", streams, suffix="endless")
app.add_route("/fail-inside", streams, suffix="broken")
app.add_route("/file", File())
app.add_route("/meet", Meet())
app.add_route("/fail", Fail())
app.add_route("/open/{name}", Gates())
app.add_route("/quote", Quote())
app.add_route("/images/{name}", Images())
app.add_route("/etag", Etag())
app.add_static_route("/static", str(FILES))
app.add_sink(proxy, r"/proxy/(?P<rest>.*)\Z")

validated = validate(app)
