"""A Quart application as its tutorials and guides build them: an API, a blog with templates, uploads, streams."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from quart import (
    Blueprint,
    Quart,
    Response,
    ResponseReturnValue,
    abort,
    current_app,
    flash,
    get_flashed_messages,
    make_response,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
    websocket,
)
from quart.utils import run_sync

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# The tests start the server in a folder with a few files.
FILES = Path.cwd()

app = Quart(__name__)
app.secret_key = "not in production"

# --- Lifespan ---


@app.before_serving
async def before_serving() -> None:
    report("before serving")


@app.while_serving
async def while_serving() -> AsyncGenerator[None, None]:
    app.config["ANSWER"] = 42
    yield
    report("alive", json.dumps(alive()))


@app.after_serving
async def after_serving() -> None:
    report("after serving")


@app.get("/config")
async def show_config() -> ResponseReturnValue:
    return {"answer": current_app.config["ANSWER"]}


# --- Routes ---


@app.get("/")
async def hello() -> ResponseReturnValue:
    return "Hello, World!"


@app.post("/echo")
async def echo() -> ResponseReturnValue:
    return {"input": await request.get_json(), "extra": True}


blog = Blueprint("blog", __name__, url_prefix="/blog")


@blog.get("/<int:post>/")
async def show_post(post: int) -> ResponseReturnValue:
    return await render_template_string(
        "<h1>Post {{ post }}</h1><a href=\"{{ url_for('blog.show_post', post=post + 1) }}\">{{ title }}</a>",
        post=post,
        title=request.args.get("title", "next"),
    )


app.register_blueprint(blog)


@app.get("/who")
async def who() -> ResponseReturnValue:
    return {
        "client": request.remote_addr,
        "url": request.url,
        "path": request.path,
        "root_path": request.root_path,
        "raw_path": request.scope["raw_path"].decode("ascii"),
        "post": url_for("blog.show_post", post=7),
        "external": url_for("blog.show_post", post=7, _external=True),
        "headers": request.headers.getlist("X-Token"),
    }


@app.get("/visits")
async def count_visits() -> ResponseReturnValue:
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}


@app.get("/flash")
async def flash_message() -> ResponseReturnValue:
    await flash("You were logged in")
    return redirect(url_for("show_flashed"))


@app.get("/flashed")
async def show_flashed() -> ResponseReturnValue:
    return {"messages": get_flashed_messages()}


@app.get("/in-thread")
async def in_thread() -> ResponseReturnValue:
    """The request's context goes with it."""
    answer: str = await run_sync(lambda: f"{request.path} in a thread")()
    return answer


# --- Errors ---


@app.get("/missing")
async def missing() -> ResponseReturnValue:
    abort(404)


@app.errorhandler(404)
async def not_found(error: Exception) -> ResponseReturnValue:
    return {"error": "nowhere"}, 404


@app.get("/fail")
async def fail() -> ResponseReturnValue:
    raise LookupError("raised on purpose")


@app.get("/fail-inside")
async def fail_inside() -> ResponseReturnValue:
    async def generate() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError("raised on purpose")

    return Response(generate())


# --- Request bodies ---


@app.post("/upload")
async def upload() -> ResponseReturnValue:
    file = (await request.files)["file"]
    digest = hashlib.sha256(file.read()).hexdigest()
    return {"name": file.filename, "sha256": digest, "note": (await request.form)["note"]}


@app.post("/digest")
async def digest() -> ResponseReturnValue:
    """Reads a body while it arrives."""
    size, digest = 0, hashlib.sha256()
    async for piece in request.body:
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


@app.post("/begun/<name>")
async def begin_upload(name: str) -> ResponseReturnValue:
    report("upload begun", name)
    try:
        await request.get_data()
    except asyncio.CancelledError:
        report("upload broken off", name)
        raise
    return "complete"


# --- Background tasks ---


@app.post("/jobs/<name>")
async def start_job(name: str) -> ResponseReturnValue:
    """One as a coroutine and one in a thread."""
    path = request.path

    async def work() -> None:
        await latch(name).passed()
        report("job done", f"{name} for {path}")

    def work_in_thread() -> None:
        latch(name).wait()
        report("job done in thread", name)

    app.add_background_task(work)
    app.add_background_task(work_in_thread)
    return {"started": True}, 202


# --- Bodies that go out ---


@app.get("/stream")
async def stream() -> ResponseReturnValue:
    @stream_with_context
    async def generate() -> AsyncIterator[bytes]:
        for number in range(int(request.args["count"])):
            yield b"%d\n" % number

    return generate(), 200, {"Content-Type": "text/plain"}


@app.get("/file")
async def download() -> ResponseReturnValue:
    return await send_file(FILES / "large.bin", conditional=True)


@app.get("/events/<name>")
async def events(name: str) -> ResponseReturnValue:
    """Server-sent events; without a timeout, as in the guide."""

    async def send_events() -> AsyncIterator[bytes]:
        try:
            await latch(name).passed()
            yield b"data: first\r\n\r\n"
            report("idle", name)
            await asyncio.Event().wait()
        finally:
            report("stream closed", name)

    response = await make_response(
        send_events(),
        {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Transfer-Encoding": "chunked"},
    )
    assert isinstance(response, Response)
    response.timeout = None
    return response


@app.get("/poll/<name>")
async def poll(name: str) -> ResponseReturnValue:
    """A long poll: Quart cancels it when the client disconnects."""
    report("polling", name)
    try:
        await latch(name).passed()
    except asyncio.CancelledError:
        report("left", name)
        raise
    return "news"


@app.post("/open/<name>")
async def open_latch(name: str) -> ResponseReturnValue:
    latch(name).open()
    return "", 204


# --- WebSockets ---


class Broker:
    """As in the tutorial: each client has a queue of the others' messages."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[str]] = set()

    async def publish(self, message: str) -> None:
        for queue in self.queues:
            await queue.put(message)

    async def subscribe(self) -> AsyncGenerator[str, None]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.queues.remove(queue)


broker = Broker()


async def receive_all() -> None:
    while True:
        await broker.publish(str(await websocket.receive()))


@app.websocket("/chat/<name>")
async def chat(name: str) -> None:
    await websocket.accept()
    task = asyncio.ensure_future(receive_all())
    try:
        await websocket.send(f"welcome {name}")
        async for message in broker.subscribe():
            await websocket.send(message)
    finally:
        task.cancel()
        report("left the chat", name)


@app.websocket("/talk")
async def talk() -> None:
    """Accepted by the first word."""
    while True:
        data = await websocket.receive()
        await websocket.send(data[::-1])


@app.websocket("/protocols")
async def choose_protocol() -> None:
    await websocket.accept({"X-Greeting": "salve"}, websocket.requested_subprotocols[-1])
    await websocket.receive()
    await websocket.send_json(
        {"offered": websocket.requested_subprotocols, "client": websocket.remote_addr, "q": websocket.args["q"]}
    )
    await websocket.close(4001, "enough")


@app.websocket("/refused")
async def refuse_websocket() -> ResponseReturnValue:
    return {"error": "not you"}, 401


@app.websocket("/aborted")
async def abort_websocket() -> None:
    abort(404)
