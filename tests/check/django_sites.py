"""A Django project with a synchronous and an asynchronous view, as an ASGI application."""

import asyncio

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")


def synchronous(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def asynchronous(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("ok")


urlpatterns = [path("synchronous", synchronous), path("asynchronous", asynchronous)]

application = get_asgi_application()
