"""A WSGI application, beside which ASGI applications are mounted in the same server. Nothing to install.

    ianus --app-dir examples gate:app --mount /live=hello:app --mount /chat=chat:app

A WSGI application is a function that may block: each call has a thread to itself.

/          a page that shows all the others
/sleep     answers after a second: time curl 'localhost:8000/sleep?[1-10]' --parallel
/stream    a line every half second: curl -N localhost:8000/stream
/upload    size and SHA-256 of the request's body: curl -T FILE localhost:8000/upload
/source    this file, sent by the kernel
/live/     hello.py
/chat/     chat.py, a chat room, for which `pip install starlette`
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Ianus</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark }
  body { font: 18px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem }
  time { font-size: 3rem; font-variant-numeric: tabular-nums }
  button, input { font: inherit; min-height: 44px; padding: 0 .75rem }
  input { display: block; width: 100%; padding: 0 }
  ::file-selector-button { font: inherit; min-height: 44px; padding: 0 .75rem }
  output { display: block; min-height: 1.6em; white-space: pre-wrap; overflow-wrap: anywhere }
</style>
<h1>WSGI and ASGI in one server</h1>
<p>This page is sent by a WSGI application. The clock is streamed by <a href="/live/">an ASGI application</a> in the
same process. It continues while the WSGI application blocks:</p>
<p><time>--:--:--</time></p>
<p><button id="sleep">Sleep</button> Five requests at once, each of which blocks for a second.
<output for="sleep"></output></p>
<p><button id="stream">Stream</button> Lines that arrive one by one.
<output for="stream"></output></p>
<p>The server counts the bytes of your upload: <input id="upload" type="file">
<output for="upload"></output></p>
<p>There is a <a href="/chat/">chat room</a>, too.</p>
<p>The <a href="/source">source</a> of all this.</p>
<script>
  const clock = document.querySelector("time")
  const output = name => document.querySelector(`output[for=${name}]`)
  new EventSource("/live/clock").onmessage = event => clock.textContent = event.data

  document.querySelector("#sleep").onclick = async () => {
    const start = performance.now()
    output("sleep").textContent = "..."
    await Promise.all([1, 2, 3, 4, 5].map(number => fetch(`/sleep?${number}`, {cache: "no-store"})))
    output("sleep").textContent = `All are answered after ${((performance.now() - start) / 1000).toFixed(2)} s.`
  }
  document.querySelector("#stream").onclick = async () => {
    const body = (await fetch("/stream", {cache: "no-store"})).body.pipeThrough(new TextDecoderStream()).getReader()
    output("stream").textContent = ""
    for (let part; !(part = await body.read()).done;) output("stream").textContent += part.value
  }
  document.querySelector("#upload").onchange = async event => {
    const answer = await fetch("/upload", {method: "PUT", body: event.target.files[0]})
    output("upload").textContent = await answer.text()
  }
</script>
"""


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Selects the response by the path."""
    respond = RESPONSES.get(environ["PATH_INFO"])
    if respond is None:
        return text(start_response, "404 Not Found", f"There is {', '.join(RESPONSES)}.\n")
    return respond(environ, start_response)


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Shows all the others."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE.encode()]


def sleep(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Blocks for a second, as a slow database does."""
    time.sleep(1)
    return text(start_response, "200 OK", "Slept for a second.\n")


def stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Yields lines, each of which is sent at once."""
    # Browsers wait for more of a text whose type they have to guess.
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")])
    for number in range(1, 11):
        yield f"Line {number} of 10\n".encode()
        time.sleep(0.5)


def upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the body, which is complete: a client with a slow connection does not keep this thread waiting."""
    size = 0
    digest = hashlib.sha256()
    while block := environ["wsgi.input"].read(65536):
        size += len(block)
        digest.update(block)
    return text(start_response, "200 OK", f"{size} bytes, SHA-256 {digest.hexdigest()}\n")


def source(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Sends this file. The server closes it."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    blocks: Iterable[bytes] = environ["wsgi.file_wrapper"](Path(__file__).open("rb"))  # noqa: SIM115  the server does
    return blocks


RESPONSES: dict[str, Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]] = {
    "/": page,
    "/sleep": sleep,
    "/stream": stream,
    "/upload": upload,
    "/source": source,
}


def text(start_response: StartResponse, status: str, content: str) -> Iterable[bytes]:
    """Returns a complete response with a text."""
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [content.encode()]
