"""A Django application in one file: the settings, middleware and views of its tutorial and topic guides.

The settings are those of `startproject` as far as requests see them, with DEBUG off.
"""

import asyncio
import atexit
import hashlib
import json
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# The tests start the server in a folder with a few files, and several of them at the same time.
FILES = Path.cwd()
DATABASE = tempfile.NamedTemporaryFile(suffix=".sqlite3")  # noqa: SIM115

settings.configure(
    DEBUG=False,
    SECRET_KEY="not in production",
    ALLOWED_HOSTS=["127.0.0.1", "test"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE.name}},
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.messages"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    FILE_UPLOAD_MAX_MEMORY_SIZE=100_000,
)
django.setup()

# These look at the settings when they are imported.
from django import forms  # noqa: E402
from django.contrib import messages  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines  # noqa: E402
from django.urls import include, path, reverse  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

# Django knows no lifespan.
atexit.register(lambda: report("alive", json.dumps(alive())))


# --- Models ---


class Question(models.Model):  # type: ignore[misc]
    question_text = models.CharField(max_length=200)

    class Meta:
        app_label = "polls"


def create_tables() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Question)
    connection.close()


# In a thread, since Django refuses to work with a database in a thread with a running event loop.
creation = threading.Thread(target=create_tables)
creation.start()
creation.join()


def list_questions(request: HttpRequest) -> HttpResponse:
    """By one of the threads, with its own connection to the database."""
    Question.objects.create(question_text=request.GET["new"])
    return JsonResponse({"questions": [question.question_text for question in Question.objects.order_by("id")]})


async def count_questions(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"count": await Question.objects.acount()})


# --- Views ---


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world. You're at the polls index.")


async def detail(request: HttpRequest, question_id: int) -> HttpResponse:
    return JsonResponse({"question": question_id, "results": reverse("polls:results", args=(question_id,))})


def results(request: HttpRequest, question_id: int) -> HttpResponse:
    raise Http404("Question does not exist")


def who(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "client": [request.META["REMOTE_ADDR"], request.META["REMOTE_PORT"]],
            "host": request.get_host(),
            "url": request.build_absolute_uri(),
            "detail": request.build_absolute_uri(reverse("polls:detail", args=(7,))),
            "secure": request.is_secure(),
            "path": request.path,
            "path_info": request.path_info,
            "script_name": request.META["SCRIPT_NAME"],
            "raw_path": request.scope["raw_path"].decode("ascii"),
        }
    )


def headers(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.headers))


def count_visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def add_message(request: HttpRequest) -> HttpResponse:
    messages.success(request, "Profile details updated.")
    return HttpResponseRedirect(reverse("messages"))


def list_messages(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"messages": [str(message) for message in messages.get_messages(request)]})


class NameForm(forms.Form):  # type: ignore[misc]
    your_name = forms.CharField(label="Your name", max_length=10)


NAME_PAGE = engines["django"].from_string("<form method=post>{% csrf_token %}{{ form }}<input type=submit></form>")


def get_name(request: HttpRequest) -> HttpResponse:
    form = NameForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return HttpResponse(f"Hello, {form.cleaned_data['your_name']}")
    return HttpResponse(NAME_PAGE.render({"form": form}, request))


def upload(request: HttpRequest) -> HttpResponse:
    """Files above FILE_UPLOAD_MAX_MEMORY_SIZE lie in temporary ones."""
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for piece in file.chunks():
        digest.update(piece)
    return JsonResponse({"name": file.name, "sha256": digest.hexdigest(), "note": request.POST["note"]})


async def read_body(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"size": len(request.body), "sha256": hashlib.sha256(request.body).hexdigest()})


def meet(request: HttpRequest) -> HttpResponse:
    """Waits until four of these calls run at the same time."""
    return HttpResponse(str(together.wait(20)))


together = threading.Barrier(4)


# --- Errors ---


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("raised on purpose")


async def fail_async(request: HttpRequest) -> HttpResponse:
    raise LookupError("raised on purpose")


async def fail_inside(request: HttpRequest) -> HttpResponse:
    async def generate() -> AsyncIterator[str]:
        yield "half"
        raise LookupError("raised on purpose")

    return StreamingHttpResponse(generate())


# --- Streams ---


async def stream(request: HttpRequest) -> HttpResponse:
    async def generate() -> AsyncIterator[str]:
        for number in range(int(request.GET["count"])):
            yield f"{number}\n"

    return StreamingHttpResponse(generate(), content_type="text/plain")


def stream_in_thread(request: HttpRequest) -> HttpResponse:
    """Django gathers all of it in a thread before it sends the first piece, and warns of that."""

    def generate() -> Iterator[str]:
        for number in range(int(request.GET["count"])):
            yield f"{number}\n"

    return StreamingHttpResponse(generate(), content_type="text/plain")


def send_file(request: HttpRequest) -> HttpResponse:
    return FileResponse((FILES / "large.bin").open("rb"), as_attachment=True, filename="download.bin")


async def events(request: HttpRequest, name: str) -> HttpResponse:
    async def generate() -> AsyncIterator[str]:
        try:
            await latch(name).passed()
            yield "data: first\n\n"
            report("idle", name)
            await asyncio.Event().wait()
        finally:
            report("stream closed", name)

    return StreamingHttpResponse(generate(), content_type="text/event-stream")


async def ticks(request: HttpRequest, name: str) -> HttpResponse:
    """Each event waits for a latch of its own; the third latch stays closed."""

    async def generate() -> AsyncIterator[str]:
        try:
            for number in range(3):
                report(f"waiting for {number}", name)
                await latch(f"{name}-{number}").passed()
                yield f"id: {number}\nevent: tick\ndata: {number}\n\n"
        finally:
            report("stream closed", name)

    return StreamingHttpResponse(generate(), content_type="text/event-stream")


async def poll(request: HttpRequest, name: str) -> HttpResponse:
    """A long poll: it answers when the latch opens. Django cancels the view when the client disconnects."""
    report("polling", name)
    try:
        await latch(name).passed()
    except asyncio.CancelledError:
        report("left", name)
        raise
    return HttpResponse("news")


async def open_latch(request: HttpRequest, name: str) -> HttpResponse:
    latch(name).open()
    return HttpResponse(status=204)


polls: tuple[list[Any], str] = (
    [
        path("", index, name="index"),
        path("<int:question_id>/", detail, name="detail"),
        path("<int:question_id>/results/", results, name="results"),
        path("questions/", list_questions, name="questions"),
        path("questions/count/", count_questions, name="count"),
    ],
    "polls",
)

urlpatterns = [
    path("polls/", include(polls)),
    path("who/", who),
    path("headers/", headers),
    path("visits/", count_visits),
    path("messages/", list_messages, name="messages"),
    path("messages/add/", add_message),
    path("your-name/", get_name),
    path("upload/", csrf_exempt(upload)),
    path("body/", csrf_exempt(read_body)),
    path("meet/", meet),
    path("fail/", fail),
    path("fail-async/", fail_async),
    path("fail-inside/", fail_inside),
    path("stream/", stream),
    path("stream-in-thread/", stream_in_thread),
    path("file/", send_file),
    path("events/<name>", events),
    path("ticks/<name>", ticks),
    path("poll/<name>", poll),
    path("open/<name>", csrf_exempt(open_latch)),
]

application = get_asgi_application()
