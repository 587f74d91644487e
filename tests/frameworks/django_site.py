"""A Django project in one file, with the admin site and WhiteNoise for its static files, for WSGI and for ASGI.

The settings are those of `startproject` as far as requests see them, with DEBUG off.
"""

import csv
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings

from tests.e2e.apps import report
from tests.frameworks.latches import latch
from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_common import FILES, broken, digest_of, endless, lines, news, report_shutdown, together

report_shutdown()

DATA = tempfile.TemporaryDirectory()


class Library(AppConfig):  # type: ignore[misc]
    name = __name__
    label = "library"


settings.configure(
    DEBUG=False,
    SECRET_KEY="not in production",
    ALLOWED_HOSTS=["127.0.0.1", "test"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{DATA.name}/db.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        f"{__name__}.Library",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # The quickest.
    STATIC_URL="static/",
    STATIC_ROOT=Path(django.__file__).parent / "contrib/admin/static",  # They lie in one place without `collectstatic`.
    # WhiteNoise would ask for STATIC_URL when it starts. Django keeps the answer, and knows of no prefix yet.
    WHITENOISE_STATIC_PREFIX="/static/",
    WHITENOISE_IMMUTABLE_FILE_TEST=r"\.[0-9a-f]{12}\.",
    MEDIA_ROOT=f"{DATA.name}/media",
    MEDIA_URL="media/",
    FILE_UPLOAD_MAX_MEMORY_SIZE=100_000,
)
django.setup()

# These look at the settings when they are imported.
from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.signals import request_finished  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, re_path, reverse  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.decorators.http import condition, require_safe  # noqa: E402
from django.views.static import serve  # noqa: E402

# --- Models and their administration ---


class Document(models.Model):  # type: ignore[misc]
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="documents")

    class Meta:
        app_label = "library"

    def __str__(self) -> str:
        return str(self.title)


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):  # type: ignore[misc]
    list_display = ("title", "file")
    search_fields = ("title",)


def create_tables() -> None:
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Document)
    User.objects.create_superuser("admin", password="secret")
    connection.close()


# In a thread, since Django refuses to work with a database in a thread with a running event loop.
creation = threading.Thread(target=create_tables)
creation.start()
creation.join()


# --- Paths that all applications of this folder have ---


@require_safe  # type: ignore[untyped-decorator]
def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello\n", content_type="text/plain")


def who(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "client": request.META["REMOTE_ADDR"],
            "url": request.build_absolute_uri(),
            "echo": request.build_absolute_uri(reverse("echo", args=("you",))),
            "script_name": request.META["SCRIPT_NAME"],
            "path": request.path_info,
            "tokens": request.headers.get("X-Token"),
            "cookies": request.COOKIES,
        }
    )


def echo(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse({"name": name})


def set_cookies(request: HttpRequest) -> HttpResponse:
    response = JsonResponse({})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


def digest(request: HttpRequest) -> HttpResponse:
    return JsonResponse(digest_of(request))


def upload(request: HttpRequest) -> HttpResponse:
    """Files above FILE_UPLOAD_MAX_MEMORY_SIZE lie in temporary ones."""
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, **digest_of(file), "note": request.POST["note"]})


def stream(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(lines(int(request.GET["count"])), content_type="text/plain")


def read_news(request: HttpRequest, name: str) -> HttpResponse:
    return StreamingHttpResponse(news(name))


def read_endless(request: HttpRequest, name: str) -> HttpResponse:
    return StreamingHttpResponse(endless(name))


def send_file(request: HttpRequest) -> HttpResponse:
    return FileResponse((FILES / "large.bin").open("rb"), as_attachment=True, filename="download.bin")


def meet(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"place": together.wait(20)})


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("raised on purpose")


def fail_inside(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(broken())


def open_latch(request: HttpRequest, name: str) -> HttpResponse:
    latch(name).open()
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


# --- Views ---


class Echo:
    """A file object for csv: Django's own example of a stream."""

    def write(self, value: str) -> str:
        return value


def stream_csv(request: HttpRequest) -> HttpResponse:
    rows: Iterable[list[str]] = ([f"Row {number}", str(number)] for number in range(1000))
    writer = csv.writer(Echo())
    streamed: Iterator[Any] = (writer.writerow(row) for row in rows)
    return StreamingHttpResponse(
        streamed, content_type="text/csv", headers={"Content-Disposition": 'attachment; filename="rows.csv"'}
    )


def send_part(request: HttpRequest) -> HttpResponse:
    """A file that has been read to some place: its rest."""
    opened = (FILES / "large.bin").open("rb")
    opened.seek(int(request.GET["start"]))
    return FileResponse(opened)


@condition(etag_func=lambda request: '"one"')  # type: ignore[untyped-decorator]
def conditional(request: HttpRequest) -> HttpResponse:
    return HttpResponse("whole")


async def coroutine(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"count": await Document.objects.filter(title=request.GET["title"]).acount()})


def moved(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(reverse("echo", args=("moved",)))


# Sent when the response is closed.
request_finished.connect(lambda **_: report("request finished"), weak=False)

urlpatterns = [
    path("admin/", admin.site.urls),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
    path("hello", hello),
    path("who", who),
    path("echo/<name>", echo, name="echo"),
    path("cookies", set_cookies),
    path("digest", csrf_exempt(digest)),
    path("upload", csrf_exempt(upload)),
    path("stream", stream),
    path("news/<name>", read_news),
    path("endless/<name>", read_endless),
    path("file", send_file),
    path("meet", meet),
    path("fail", fail),
    path("fail-inside", fail_inside),
    path("open/<name>", csrf_exempt(open_latch)),
    path("csv/", stream_csv),
    path("part/", send_part),
    path("conditional/", conditional),
    path("coroutine/", coroutine),
    path("moved/", moved),
]

app = get_wsgi_application()
validated = validate(app)
asynchronous = get_asgi_application()
