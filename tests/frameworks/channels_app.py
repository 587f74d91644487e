"""The chat of Channels' tutorial in one file, with the users of Django's authentication.

CHANNEL_LAYER selects the layer of the groups: "memory", or the path of the socket of a Redis server. Beside the
asynchronous consumer of the tutorial's third part stands the synchronous one of its second: its methods run in threads.
"""

import json
import os
import tempfile
import threading
from typing import Any

import django
from django.conf import settings

from tests.e2e.apps import report
from tests.frameworks.wsgi_common import report_shutdown

# Channels has no lifespan.
report_shutdown()

DATABASE = tempfile.NamedTemporaryFile(suffix=".sqlite3")  # noqa: SIM115
LAYER = os.environ["CHANNEL_LAYER"]

settings.configure(
    DEBUG=False,
    SECRET_KEY="not in production",
    ALLOWED_HOSTS=["127.0.0.1", "test"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE.name}},
    INSTALLED_APPS=["channels", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    CHANNEL_LAYERS={
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
        if LAYER == "memory"
        else {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # channels-redis waits 5 s at a time for a message, which is when redis-py 8 gives up reading.
            "CONFIG": {"hosts": [{"address": f"unix://{LAYER}", "socket_timeout": None}]},
        }
    },
)
django.setup()

# These look at the settings when they are imported.
from asgiref.sync import async_to_sync  # noqa: E402
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.generic.websocket import (  # noqa: E402
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.contrib.auth import login  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path, re_path  # noqa: E402


def create_tables() -> None:
    call_command("migrate", verbosity=0)
    User.objects.create(username="jane")
    connection.close()


# In a thread, since Django refuses to work with a database in a thread with a running event loop.
creation = threading.Thread(target=create_tables)
creation.start()
creation.join()


# --- Consumers ---


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room_name"]
        self.group = f"chat_{self.room}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)
        report("left", f"{self.room} {code}")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        assert text_data is not None
        message = json.loads(text_data)["message"]
        event = {"type": "chat.message", "message": message, "user": self.scope["user"].username}
        await self.channel_layer.group_send(self.group, event)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"user": event["user"], "message": event["message"]}))


class SyncChatConsumer(WebsocketConsumer):  # type: ignore[misc]
    def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room_name"]
        self.group = f"sync_chat_{self.room}"
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)
        report("left", f"{self.room} {code}")

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        assert text_data is not None
        message = json.loads(text_data)["message"]
        event = {"type": "chat.message", "message": message, "user": self.scope["user"].username}
        async_to_sync(self.channel_layer.group_send)(self.group, event)

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(text_data=json.dumps({"user": event["user"], "message": event["message"]}))


class PickyConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Accepts only users that are logged in, in one subprotocol, until it receives "stop"."""

    async def connect(self) -> None:
        if self.scope["user"].is_anonymous:
            await self.close()
        else:
            await self.accept("picky")

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "stop":
            await self.close(code=4000, reason="as you said")
        else:
            await self.send_json({"path": self.scope["path"], "received": content})


# --- Views ---


def room(request: HttpRequest, room_name: str) -> HttpResponse:
    return HttpResponse(f"<h1>{room_name}</h1>")


def log_in(request: HttpRequest) -> HttpResponse:
    login(request, User.objects.get(username="jane"))
    return HttpResponse(status=204)


urlpatterns = [path("chat/<str:room_name>/", room), path("login/", log_in)]

websocket_urlpatterns = [
    re_path(r"^ws/chat/(?P<room_name>\w+)/$", ChatConsumer.as_asgi()),
    re_path(r"^ws/sync-chat/(?P<room_name>\w+)/$", SyncChatConsumer.as_asgi()),
    re_path(r"^ws/picky/$", PickyConsumer.as_asgi()),
]

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
