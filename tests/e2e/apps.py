"""The applications that the end-to-end tests talk to: plain ASGI, one small coroutine for each path.

They report events on standard error (`report`), so that a test can wait for it, also when no
connection is left to ask through.
"""

import ast
import asyncio
import contextvars
import gc
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

HANDLERS: dict[str, Handler] = {}


def report(what: str, detail: object = "") -> None:
    """One line on standard error, at once and in one piece."""
    os.write(2, f"app: {what}{f': {detail}' if detail != '' else ''}\n".encode())


def path(name: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope["state"], receive, send)
    else:
        own = scope["path"].removeprefix(scope["root_path"])
        await HANDLERS.get(own, missing)(scope, receive, send)


async def lifespan(state: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    state["given"] = "by lifespan"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    report("shutdown")
    report("alive", json.dumps(alive()))
    await send({"type": "lifespan.shutdown.complete"})


def alive() -> dict[str, int]:
    """Returns the live objects that a debug build counts: connections and exchanges."""
    from ianus.runtime.live_objects import live_objects

    gc.collect()
    return live_objects() or {}


async def answer(send: Send, body: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


class ClientDisconnect(Exception):  # noqa: N818
    """By this name, as that of Starlette, the server knows that a framework speaks of `http.disconnect`."""


async def body_of(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect("the client left inside its request")
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def number(scope: Scope) -> float:
    return float(scope["query_string"])


async def missing(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"missing\n", 404)


class Asgi2:
    """An application of the first generation: called twice."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await app(self.scope, receive, send)


# --- Whole answers ---


@path("/hello")
async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"hello\n")


@path("/target")
async def target(scope: Scope, receive: Receive, send: Send) -> None:
    """Which request this is: the query string."""
    await answer(send, scope["query_string"])


@path("/coroutine-functions")
async def coroutine_functions(scope: Scope, receive: Receive, send: Send) -> None:
    """Reports whether introspection recognises receive() and send() as coroutine functions."""
    import inspect

    import asgiref.sync

    asked = (inspect.iscoroutinefunction, asgiref.sync.iscoroutinefunction)
    await answer(send, repr([[ask(each) for ask in asked] for each in (receive, send)]).encode())


@path("*")
@path("/scope")
async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    shown = {name: repr(value) for name, value in scope.items()}
    await answer(send, json.dumps(shown).encode())


@path("/state")
async def show_state(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the lifespan state, and then adds to it."""
    shown = json.dumps(scope["state"])
    scope["state"]["left"] = "by a request"
    await answer(send, shown.encode())


@path("/echo")
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await body_of(receive))


@path("/size")
async def size(scope: Scope, receive: Receive, send: Send) -> None:
    """The length of the request body, read message by message."""
    total = 0
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        total += len(message["body"])
        if not message["more_body"]:
            return await answer(send, b"%d" % total)


counted = 0


@path("/count")
async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """The how manieth request to this path it is; none is done in less than a millisecond."""
    global counted
    counted += 1
    time.sleep(0.001)  # noqa: ASYNC251
    await answer(send, b"%d" % counted)


@path("/edit-fields")
async def edit_fields(scope: Scope, receive: Receive, send: Send) -> None:
    """Adds the fields in the query string to those of the request."""
    scope["headers"].append(ast.literal_eval(unquote(scope["query_string"].decode())))
    await answer(send, b"edited\n")


@path("/own-fields")
async def own_fields(scope: Scope, receive: Receive, send: Send) -> None:
    own = ((b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"own"), (b"x-added", b"own"))
    await answer(send, b"", headers=(*own, (b"X-Capitals", b"yes")))


@path("/hop-by-hop")
async def hop_by_hop(scope: Scope, receive: Receive, send: Send) -> None:
    fields = (
        (b"connection", b"keep-alive, x-custom"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"gzip"),
        (b"upgrade", b"h2c"),
        (b"x-kept", b"1"),
    )
    await answer(send, b"hello\n", headers=fields)


@path("/many-fields")
async def many_fields(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"", headers=tuple((b"x-%d" % n, b"v" * 100) for n in range(int(number(scope)))))


# --- Answers in pieces ---


@path("/stream")
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Three pieces and no length."""
    await send({"type": "http.response.start", "status": 200})
    for piece in (b"one\n", b"two\n", b"three\n"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


@path("/flood")
async def flood(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends without end, until the server raises an error some time after the client has disconnected."""
    await send({"type": "http.response.start", "status": 200})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
    except BaseException as error:
        report("flood ended", f"{type(error).__name__} {isinstance(error, OSError)}")
        raise


@path("/large")
async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the number of bytes in the query, in one piece."""
    await answer(send, b"x" * int(number(scope)))


@path("/large-piece")
async def large_piece(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the number of bytes in the query, in one piece of a stream that has no end."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x" * int(number(scope)), "more_body": True})
    await until_disconnect(receive)


@path("/slow-pieces")
async def slow_pieces(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends each piece of the request body back as soon as it arrives, so that the test controls the pieces."""
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


@path("/head-first")
async def head_first(scope: Scope, receive: Receive, send: Send) -> None:
    """Starts its response before it reads the request body."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"head", "more_body": True})
    message = await receive()
    report("received", message["type"])
    await send({"type": "http.response.body", "body": message.get("body", b"")})


@path("/events")
async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """Opens an event stream without any event, which is idle until its client disconnects."""
    head = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await until_disconnect(receive)
    report("events closed")


@path("/events-by-empty-body")
async def events_by_empty_body(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, with the customary empty message; the task does not suspend between the two."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    time.sleep(0.01)  # noqa: ASYNC251  # the head must not be sent by the next message
    await until_disconnect(receive)


@path("/play")
async def play(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the messages in the query string, and reports the error of the first one that is refused."""
    for message in ast.literal_eval(unquote(scope["query_string"].decode())):
        try:
            await (asyncio.sleep(0) if message == "suspend" else send(message))
        except Exception as error:
            report("refused", f"{type(error).__name__}: {error}")
            raise
    report("played")


@path("/hint-and-wait")
async def hint_and_wait(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.early_hint", "links": [b"<a>"]})
    report("hinted")
    await until_disconnect(receive)


@path("/files")
async def files(scope: Scope, receive: Receive, send: Send) -> None:
    """Plays messages like /play; `file` names a path, whose file is closed as soon as send() has returned."""
    for message in ast.literal_eval(unquote(scope["query_string"].decode())):
        if "file" not in message:
            await send(message)
            continue
        with open(message["file"], "rb") as file:  # noqa: ASYNC230, PTH123
            file.seek(message.pop("seek", 0))
            try:
                await send({**message, "file": file.fileno() if message.pop("number", False) else file})
            finally:
                report("position", file.tell())
    report("played")


@path("/file-until-cancelled")
async def file_until_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    """Lends a file, gives up while it is being sent, closes it and opens another one under its number."""
    secret = Path("secret")
    secret.write_bytes(b"secret\n" * 1_000_000)  # noqa: ASYNC240
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with open(unquote(scope["query_string"].decode()), "rb") as file:  # noqa: ASYNC230, PTH123
        number = file.fileno()
        try:
            await asyncio.wait_for(send({"type": "http.response.zerocopysend", "file": file}), 0.2)
        except TimeoutError:
            pass
    reused = os.open(secret, os.O_RDONLY)
    report("reused", reused == number)
    await until_disconnect(receive)
    os.close(reused)


@path("/file-or-text")
async def file_or_text(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends text in place of a file that was refused because it is shorter than declared."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
    with open(unquote(scope["query_string"].decode()), "rb") as file:  # noqa: ASYNC230, PTH123
        try:
            await send({"type": "http.response.zerocopysend", "file": file})
        except ValueError:
            report("refused")
    await send({"type": "http.response.body", "body": b"x" * 10})


@path("/seek-fails")
async def seek_fails(scope: Scope, receive: Receive, send: Send) -> None:
    with open(unquote(scope["query_string"].decode()), "rb") as file:  # noqa: ASYNC230, PTH123

        class Tape:
            def fileno(self) -> int:
                return file.fileno()

            def tell(self) -> int:
                return 0

            def seek(self, position: int) -> None:
                raise OSError("tapes only run forward")

        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.zerocopysend", "file": Tape()})


# --- Unusual applications ---


@path("/without-end")
async def without_end(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams, and never waits for anything but send()."""
    await send({"type": "http.response.start", "status": int(scope["query_string"]), "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})


@path("/one-shot-headers")
async def one_shot_headers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [iter((b"X-Echo", b"a"))]})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    if scope["query_string"]:
        raise LookupError("raised on purpose")
    await send({"type": "http.response.body"})


@path("/message-changes")
async def message_changes(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a message that is emptied while it is read; the server must not use its contents after that."""
    message: dict[str, object] = {"type": "http.response.body"}
    # Of one size, so that an object of the other class takes the memory of one that was freed.
    falsy = type("Falsy", (), {"__bool__": lambda self: False})
    truthy = type("Truthy", (), {"__bool__": lambda self: True})

    class Emptying(bytes):
        def __bytes__(self) -> bytes:
            message.clear()
            message["waste"] = [truthy() for _ in range(1000)]
            message["more"] = [bytearray(16 + i % 64) for i in range(20_000)]
            return b"text"

    message["body"] = Emptying()
    message["more_body"] = falsy()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send(message)


@path("/key-changes-message")
async def key_changes_message(scope: Scope, receive: Receive, send: Send) -> None:
    class Key(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            message["type"] = None
            message["waste"] = [bytearray(120) for _ in range(1000)]
            return str.__eq__(self, other)

    message: dict[str, object] = {"type": "".join(["http.response", ".start"]), "status": 200, Key("body"): b""}
    await send(message)
    await send({"type": "http.response.body", "body": b"text"})


# --- Abnormal ends ---


@path("/ignore")
async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without a look at the body."""
    await answer(send, b"ignored\n")


@path("/ignore-the-rest")
async def ignore_the_rest(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the number of body bytes in the query, and answers."""
    left = number(scope)
    while left > 0:
        left -= len((await receive())["body"])
    await answer(send, b"ignored\n")


@path("/raise")
async def raise_first(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("raised on purpose")


@path("/raise-before-body")
async def raise_before_body(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-lost", b"1")]})
    raise LookupError("raised on purpose")


@path("/raise-inside")
async def raise_inside(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise LookupError("raised on purpose")


@path("/raise-later")
async def raise_later(scope: Scope, receive: Receive, send: Send) -> None:
    """When the first half has left."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    await asyncio.sleep(0.01)
    raise LookupError("raised on purpose")


@path("/raise-behind")
async def raise_behind(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"whole\n")
    raise LookupError("raised on purpose")


@path("/exit")
async def exit_from_handler(scope: Scope, receive: Receive, send: Send) -> None:
    sys.exit(7)


@path("/return")
async def return_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    pass


@path("/return-inside")
async def return_inside(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


# --- Waiting ---


@path("/leave")
async def leave(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits until the client disconnects, then answers all the same."""
    await body_of(receive)
    report("waiting")
    await until_disconnect(receive)
    report("left")
    await answer(send, b"farewell\n")
    report("answered nobody")


@path("/poll")
async def poll(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits until its client disconnects, and returns without an answer."""
    await body_of(receive)
    report("polling")
    await until_disconnect(receive)


@path("/messages")
async def messages(scope: Scope, receive: Receive, send: Send) -> None:
    """Reports every message that it receives, until the request is complete or aborted."""
    while True:
        message = await receive()
        report("message", sorted(message.items()))
        if not message.get("more_body"):
            return await answer(send, b"told\n")


@path("/await-twice")
async def await_twice(scope: Scope, receive: Receive, send: Send) -> None:
    """Awaits the return values of receive() and send() a second time, also while a task awaits them."""
    received, sent = receive(), send({"type": "http.response.start", "status": 200})
    await received
    await sent
    waiting = receive()
    task: asyncio.Task[Any] = asyncio.create_task(waiting)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    refused = []
    for again in (received, sent, waiting):
        try:
            await again
        except RuntimeError as error:
            refused.append(str(error))
    task.cancel()
    await asyncio.wait([task])
    try:
        await waiting
    except RuntimeError as error:
        refused.append(str(error))
    await send({"type": "http.response.body", "body": "\n".join(refused).encode()})


gates: dict[bytes, asyncio.Event] = {}


@path("/wait")
async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits for /open with the same query string."""
    gate = gates.setdefault(scope["query_string"], asyncio.Event())
    report("waiting")
    await gate.wait()
    await answer(send, b"waited\n")


@path("/open")
async def open_gate(scope: Scope, receive: Receive, send: Send) -> None:
    gates.pop(scope["query_string"]).set()
    await answer(send, b"opened\n")


@path("/wait-and-size")
async def wait_and_size(scope: Scope, receive: Receive, send: Send) -> None:
    """Does not read before /open, then reads one message, reports it, and reads the rest."""
    gate = gates.setdefault(scope["query_string"], asyncio.Event())
    report("waiting")
    await gate.wait()
    first = len((await receive())["body"])
    report("taken", first)
    await answer(send, b"%d" % (first + len(await body_of(receive))))


@path("/late")
async def late(scope: Scope, receive: Receive, send: Send) -> None:
    """Lets the body wait for a number of seconds, and then reads it."""
    await asyncio.sleep(number(scope))
    await size(scope, receive, send)


@path("/nap")
async def nap(scope: Scope, receive: Receive, send: Send) -> None:
    """Sleeps a little, without a word."""
    await asyncio.sleep(number(scope))
    await answer(send, b"slept\n")


async def block_loop(seconds: float) -> None:
    """Blocks the event loop after the loop iteration in which the request arrived."""
    await asyncio.sleep(0.001)
    report("blocking")
    time.sleep(seconds)  # noqa: ASYNC251


@path("/block")
async def block(scope: Scope, receive: Receive, send: Send) -> None:
    """Blocks the event loop for a number of seconds."""
    await block_loop(number(scope))
    await answer(send, b"blocked\n")


@path("/block-and-raise")
async def block_and_raise(scope: Scope, receive: Receive, send: Send) -> None:
    await block_loop(number(scope))
    raise LookupError("raised on purpose")


@path("/block-and-stream")
async def block_and_stream(scope: Scope, receive: Receive, send: Send) -> None:
    await block_loop(number(scope))
    await stream(scope, receive, send)


@path("/block-and-flood")
async def block_and_flood(scope: Scope, receive: Receive, send: Send) -> None:
    await block_loop(number(scope))
    await flood(scope, receive, send)


def hold_loop(pipe: Path) -> None:
    """Blocks the event loop until the test writes into its named pipe."""
    with pipe.open("rb", buffering=0) as gate:
        report("holding")
        gate.read(1)


@path("/hold")
async def hold(scope: Scope, receive: Receive, send: Send) -> None:
    """Blocks the event loop until the test lets go, and then asks for its request."""
    await asyncio.sleep(0)  # after the iteration in which the request arrived
    hold_loop(Path(unquote(scope["query_string"].decode())))
    message = await receive()
    report("received", message["type"])
    await answer(send, b"held\n")


# --- Effects of applications on their process ---

variable = contextvars.ContextVar("variable", default="untouched")


@path("/context")
async def context(scope: Scope, receive: Receive, send: Send) -> None:
    """Sets a context variable before it ever suspends; its next request must not see it."""
    before = variable.get()
    variable.set("leaked")
    await answer(send, before.encode())


children: dict[int, int] = {}


def fork_child() -> int:
    """Forks a child that lives until reap_child(), with all that it has inherited. Returns its pid."""
    ours, childs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(childs)
        os.read(ours, 1)
        os._exit(0)
    os.close(ours)
    children[pid] = childs
    return pid


def reap_child() -> int:
    """Ends one of these children and returns its exit code."""
    pid, pipe = children.popitem()
    os.close(pipe)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_child() -> int:
    """The exit code of a child of multiprocessing that ends like a program, with all its clean-up."""
    child = multiprocessing.get_context("fork").Process(target=sum, args=([1, 2],))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@path("/fork")
async def fork(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"%d" % fork_child())


@path("/reap")
async def reap(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"%d" % reap_child())


@path("/fork-and-exit")
async def fork_and_exit(scope: Scope, receive: Receive, send: Send) -> None:
    """Has a child that ends as a script does, and waits for it in another thread."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # a child that does not end must not outlive the test
        sys.exit(7)
    _, status = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, pid, 0)
    await answer(send, b"%d" % os.waitstatus_to_exitcode(status))


@path("/cancel-others")
async def cancel_others(scope: Scope, receive: Receive, send: Send) -> None:
    """Cancels every other request, those included that have not started."""
    others = [task for task in asyncio.all_tasks() if task.get_name() == "ianus-request"]
    for task in others:
        if task is not asyncio.current_task():
            task.cancel()
    await answer(send, b"cancelled\n")


@path("/process")
async def process(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"%d" % run_child())


@path("/nested")
async def nested(scope: Scope, receive: Receive, send: Send) -> None:
    """Runs the event loop inside of a handler, as nest_asyncio and some notebooks do.

    The number is that of the rounds. Only the loop of asyncio itself can do this.
    """
    loop: Any = asyncio.get_running_loop()
    task = asyncio.current_task()
    ready = len(loop._ready)
    asyncio.tasks._leave_task(loop, task)  # type: ignore[arg-type]
    try:
        for _ in range(int(number(scope))):
            loop.call_later(0.001, lambda: None)
            loop._run_once()
    finally:
        asyncio.tasks._enter_task(loop, task)  # type: ignore[arg-type]
    # The outer round has counted its callbacks, and some of them were ours now.
    while len(loop._ready) < ready:
        loop.call_soon(lambda: None)
    await answer(send, b"nested\n")
