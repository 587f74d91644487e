"""A Flask application as its tutorial and guides build them: a blog with templates, sessions, uploads, streams."""

import logging
from collections.abc import Iterator
from contextvars import ContextVar

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    flash,
    g,
    get_flashed_messages,
    jsonify,
    redirect,
    render_template_string,
    request,
    send_file,
    send_from_directory,
    session,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue

from tests.e2e.apps import report
from tests.frameworks.latches import latch
from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_common import FILES, broken, digest_of, endless, lines, news, report_shutdown, together

report_shutdown()

app = Flask(__name__)
app.secret_key = "not in production"

# --- Paths that all applications of this folder have ---


@app.get("/hello")
def hello() -> ResponseReturnValue:
    return "hello\n", {"Content-Type": "text/plain"}


@app.get("/who")
def who() -> ResponseReturnValue:
    return {
        "client": request.remote_addr,
        "url": request.url,
        "echo": url_for("echo", name="you", _external=True),
        "script_name": request.root_path,
        "path": request.path,
        "tokens": request.headers.get("X-Token"),
        "cookies": request.cookies,
    }


@app.get("/echo/<name>")
def echo(name: str) -> ResponseReturnValue:
    return {"name": name}


@app.get("/cookies")
def set_cookies() -> ResponseReturnValue:
    response = jsonify({})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@app.post("/digest")
def digest() -> ResponseReturnValue:
    return digest_of(request.stream)


@app.post("/upload")
def upload() -> ResponseReturnValue:
    file = request.files["file"]
    return {"name": file.filename, **digest_of(file.stream), "note": request.form["note"]}


@app.get("/stream")
def stream() -> ResponseReturnValue:
    return Response(lines(int(request.args["count"])), mimetype="text/plain")


@app.get("/news/<name>")
def read_news(name: str) -> ResponseReturnValue:
    return Response(news(name), mimetype="text/plain")


@app.get("/endless/<name>")
def read_endless(name: str) -> ResponseReturnValue:
    return Response(endless(name), mimetype="text/plain")


@app.get("/file")
def file() -> ResponseReturnValue:
    return send_file(FILES / "large.bin", as_attachment=True, download_name="download.bin")


@app.get("/meet")
def meet() -> ResponseReturnValue:
    return {"place": together.wait(20)}


@app.get("/fail")
def fail() -> ResponseReturnValue:
    raise LookupError("raised on purpose")


@app.get("/fail-inside")
def fail_inside() -> ResponseReturnValue:
    return Response(broken(), mimetype="text/plain")


@app.post("/open/<name>")
def open_latch(name: str) -> ResponseReturnValue:
    latch(name).open()
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


# --- A blog ---

blog = Blueprint("blog", __name__, url_prefix="/blog")


@blog.get("/<int:post>/")
def show_post(post: int) -> ResponseReturnValue:
    return render_template_string(
        "<h1>Post {{ post }}</h1><a href=\"{{ url_for('blog.show_post', post=post + 1) }}\">{{ title }}</a>",
        post=post,
        title=request.args.get("title", "next"),
    )


@blog.post("/")
def add_post() -> ResponseReturnValue:
    flash(f"Added {request.form['title']}")
    return redirect(url_for("flashed"))


app.register_blueprint(blog)


@app.get("/flashed")
def flashed() -> ResponseReturnValue:
    return {"messages": get_flashed_messages()}


@app.get("/visits")
def count_visits() -> ResponseReturnValue:
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}


@app.get("/static-files/<path:name>")
def send_static(name: str) -> ResponseReturnValue:
    return send_from_directory(FILES, name)


# --- Contexts ---

left_behind: ContextVar[str] = ContextVar("left_behind", default="nothing")


@app.get("/contexts")
def contexts() -> ResponseReturnValue:
    """Answers with context that leaked from the request before."""
    found = {"g": g.get("user", "nothing"), "variable": left_behind.get()}
    g.user = "somebody"
    left_behind.set("something")
    return found


@app.get("/stream-with-context")
def stream_of_request() -> ResponseReturnValue:
    def generate() -> Iterator[str]:
        yield "Hello "
        yield request.args["name"]
        yield "!"

    return Response(stream_with_context(generate()), mimetype="text/plain")


@app.get("/later/<name>")
def later(name: str) -> ResponseReturnValue:
    """Called by close(): after the last byte."""
    response = jsonify({})
    response.call_on_close(lambda: report("closed", name))
    return response


@app.get("/wait/<name>")
def wait_at_gate(name: str) -> ResponseReturnValue:
    report("waiting", name)
    latch(name).wait()
    return "waited\n"


@app.get("/coroutine")
async def coroutine() -> ResponseReturnValue:
    return {"name": request.args["name"]}


# --- Errors ---


@app.errorhandler(404)
def page_not_found(error: Exception) -> ResponseReturnValue:
    return {"missing": request.path}, 404


@app.get("/teapot")
def teapot() -> ResponseReturnValue:
    abort(418)


@app.post("/limited")
def limited() -> ResponseReturnValue:
    request.max_content_length = 1000
    return {"size": len(request.get_data())}


@app.get("/log")
def log() -> ResponseReturnValue:
    """By Flask's own handler, which writes to wsgi.errors."""
    app.logger.setLevel(logging.INFO)
    app.logger.info("said by %s", request.args["name"])
    return {}


validated = validate(app.wsgi_app)
