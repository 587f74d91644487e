"""Applications of three frameworks that answer with the client, the scheme and the URL as their users read them."""

import django
import fastapi
import flask
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

flask_app = flask.Flask(__name__)


@flask_app.get("/facts")
def show_flask_facts() -> flask.Response:
    request = flask.request
    return flask.jsonify(client=request.remote_addr, scheme=request.scheme, url=request.url)


fastapi_app = fastapi.FastAPI()


@fastapi_app.get("/facts")
def show_fastapi_facts(request: fastapi.Request) -> dict[str, str | None]:
    client = request.client.host if request.client else None
    return {"client": client, "scheme": request.url.scheme, "url": str(request.url)}


def show_django_facts(request: HttpRequest) -> JsonResponse:
    address = request.META["REMOTE_ADDR"]
    return JsonResponse({"client": address, "scheme": request.scheme, "url": request.build_absolute_uri()})


if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")
    django.setup()
urlpatterns = [path("facts", show_django_facts)]
django_app = get_wsgi_application()
