"""A Flask application with WebSockets, as the guides of Flask-Sock and Flask-SocketIO have them."""

# mypy: disable-error-code="untyped-decorator"

import contextlib
import json
import logging
from typing import Any

import simple_websocket
from flask import Flask, request
from flask_sock import Sock
from flask_socketio import ConnectionRefusedError as RefusedError
from flask_socketio import SocketIO, emit, join_room

from tests.e2e.apps import alive, report
from tests.frameworks.wsgi_common import report_shutdown

report_shutdown()

# It takes for an error that a client polls once more when it has left.
logging.getLogger("engineio.server").setLevel(logging.CRITICAL)

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 5, "max_message_size": 1 << 20}
sock = Sock(app)
socketio = SocketIO(app, async_mode="threading")

names: dict[str, str] = {}


@app.get("/hello")
def hello() -> str:
    return "hello\n"


@app.get("/alive")
def count() -> dict[str, int]:
    return alive()


# --- Flask-Sock ---


@sock.route("/echo")
def echo(ws: simple_websocket.Server) -> None:
    try:
        while True:
            message = ws.receive()
            if message == "close":
                ws.close(4000, "asked to")
            ws.send(message)
    except simple_websocket.ConnectionClosed as closed:
        report("closed", json.dumps([int(closed.reason), closed.message]))
        raise


@sock.route("/news/<name>")
def news(ws: simple_websocket.Server, name: str) -> None:
    for number in range(3):
        ws.send(f"{name} {number} {request.args['unit']}")


@sock.route("/broken")
def broken(ws: simple_websocket.Server) -> None:
    raise LookupError("broken on purpose")


@app.route("/protocol", websocket=True)
def protocol() -> Any:
    """As simple-websocket's own guide has it: the response follows the WebSocket."""
    ws = simple_websocket.Server.accept(request.environ, subprotocols=["chat"])
    ws.send(str(ws.subprotocol))
    with contextlib.suppress(simple_websocket.ConnectionClosed):  # The client was faster.
        ws.close()
    return ""


# --- Flask-SocketIO ---


@socketio.on("connect")
def connect(auth: Any) -> None:
    if auth == "stranger":
        raise RefusedError("who are you?")
    names[request.sid] = auth  # type: ignore[attr-defined]


@socketio.on("disconnect")
def disconnect(reason: str) -> None:
    report("disconnected", names.pop(request.sid))  # type: ignore[attr-defined]


@socketio.on("ask")
def ask(data: Any) -> list[Any]:
    sid = request.sid  # type: ignore[attr-defined]
    return [names[sid], socketio.server.transport(sid), data]


@socketio.on("enter")
def enter(room: str) -> None:
    join_room(room)


@socketio.on("tell")
def tell(room: str, message: Any) -> None:
    emit("told", message, to=room)


@socketio.on("work")
def work(name: str) -> None:
    sid = request.sid  # type: ignore[attr-defined]
    socketio.start_background_task(lambda: socketio.emit("done", name, to=sid))
