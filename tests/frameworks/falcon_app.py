"""A Falcon application as its ASGI tutorial builds them: resources with media, multipart forms, streams, events."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import falcon
import falcon.asgi
import falcon.media.validators.jsonschema
from falcon.asgi import BoundedStream, Request, Response, SSEvent

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# The tests start the server in a folder with a few files.
FILES = Path.cwd()

PING = 0.02  # Seconds between signs of life on an event stream.


class Lifespan:
    """A middleware whose methods Falcon calls at both ends of the application's life."""

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        report("startup")

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        # Falcon's multipart forms do not close their generators, which reference their requests.
        await asyncio.get_running_loop().shutdown_asyncgens()
        report("alive", json.dumps(alive()))


class Timing:
    """Sees each request and each response, also those of errors."""

    async def process_request(self, req: Request, resp: Response) -> None:
        req.context.token = req.get_header("X-Token", default="none")

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        resp.set_header("X-Token", req.context.token)
        resp.set_header("X-Succeeded", str(req_succeeded))


# --- Resources ---


class Things:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "Two things awe me most, the starry sky above me and the moral law within me.\n"


class Images:
    images: dict[str, Any]

    def __init__(self) -> None:
        self.images = {}

    async def on_get(self, req: Request, resp: Response) -> None:
        limit = req.get_param_as_int("limit", min_value=1) or 10
        resp.media = {"images": list(self.images)[:limit], "tags": req.get_param_as_list("tag", default=[])}

    async def on_post(self, req: Request, resp: Response) -> None:
        image = await req.get_media()
        self.images[image["name"]] = image
        resp.status = falcon.HTTP_201
        resp.location = f"/images/{image['name']}"
        resp.media = image

    async def on_get_image(self, req: Request, resp: Response, name: str) -> None:
        if name not in self.images:
            raise falcon.HTTPNotFound(title="No such image", description=f"There is no {name}.", code=17)
        resp.media = self.images[name]

    async def on_delete_image(self, req: Request, resp: Response, name: str) -> None:
        self.images.pop(name, None)
        resp.status = falcon.HTTP_204


class Validated:
    @falcon.media.validators.jsonschema.validate({"type": "object", "required": ["name"]})
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = await req.get_media()


class Who:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {
            "client": req.remote_addr,
            "url": req.url,
            "prefix": req.prefix,
            "root_path": req.root_path,
            "raw_path": req.scope["raw_path"].decode("ascii"),
            "cookie": req.cookies.get("visited"),
        }
        resp.set_cookie("visited", "yes", secure=False)


class Moved:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise falcon.HTTPMovedPermanently("/things")


class Failing:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise LookupError("raised on purpose")

    async def on_get_inside(self, req: Request, resp: Response) -> None:
        async def generate() -> AsyncIterator[bytes]:
            yield b"half"
            raise LookupError("raised on purpose")

        resp.stream = generate()


class NameTakenError(Exception):
    @staticmethod
    async def handle(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
        raise falcon.HTTPConflict(title="taken", headers={"X-Name": "other"})


class Conflicting:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise NameTakenError


# --- Request bodies ---


class Upload:
    async def on_post(self, req: Request, resp: Response) -> None:
        shown = {}
        async for part in await req.get_media():
            if part.filename:
                digest = hashlib.sha256()
                while piece := await part.stream.read(65536):
                    digest.update(piece)
                shown[part.filename] = digest.hexdigest()
            else:
                shown[part.name] = await part.get_text()
        resp.media = shown


class Digest:
    async def on_post(self, req: Request, resp: Response) -> None:
        size, digest = 0, hashlib.sha256()
        stream: BoundedStream = req.stream
        async for piece in stream:
            digest.update(piece)
            size += len(piece)
        resp.media = {"size": size, "sha256": digest.hexdigest()}

    async def on_post_begun(self, req: Request, resp: Response, name: str) -> None:
        """Only the data before the disconnect is available: Falcon ends the stream, or raises."""
        report("upload begun", name)
        try:
            body = await req.stream.read()
            report("upload ended", f"{name} of {len(body)}")
        except falcon.HTTPError:
            report("upload broken off", name)
            raise


# --- Bodies that go out ---


class Stream:
    async def on_get(self, req: Request, resp: Response) -> None:
        count = req.get_param_as_int("count", required=True)

        async def generate() -> AsyncIterator[bytes]:
            for number in range(count):
                yield b"%d\n" % number

        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = generate()


class Events:
    """Falcon checks for a disconnect after each event, and an emitter without an event sends a comment."""

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        async def emit() -> AsyncIterator[SSEvent | None]:
            try:
                await latch(name).passed()
                yield SSEvent(text="first", event="news", event_id="1")
                report("idle", name)
                while True:
                    await asyncio.sleep(PING)
                    yield None
            finally:
                report("stream closed", name)

        resp.sse = emit()


# --- Background work ---


class Later:
    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        async def work() -> None:
            await latch(name).passed()
            report("done later", name)

        def work_in_thread() -> None:
            latch(name).wait()
            report("done in thread", name)

        resp.schedule(work)
        resp.schedule_sync(work_in_thread)
        resp.text = "soon"


class Gates:
    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        latch(name).open()
        resp.status = falcon.HTTP_204


app = falcon.asgi.App(middleware=Timing(), cors_enable=True)
app.add_middleware(Lifespan())
app.add_error_handler(NameTakenError)
images, failing, digest = Images(), Failing(), Digest()
app.add_route("/things", Things())
app.add_route("/images", images)
app.add_route("/images/{name}", images, suffix="image")
app.add_route("/validated", Validated())
app.add_route("/who", Who())
app.add_route("/moved", Moved())
app.add_route("/fail", failing)
app.add_route("/fail-inside", failing, suffix="inside")
app.add_route("/conflict", Conflicting())
app.add_route("/upload", Upload())
app.add_route("/digest", digest)
app.add_route("/begun/{name}", digest, suffix="begun")
app.add_route("/stream", Stream())
app.add_route("/events/{name}", Events())
app.add_route("/later/{name}", Later())
app.add_route("/open/{name}", Gates())
app.add_static_route("/static", FILES)
