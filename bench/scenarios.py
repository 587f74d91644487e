"""All scenarios, in the order of the report."""

from capacity import FAST, MIX, SLOW
from client import Request
from h2load import H2Load
from http2 import Http2Idle
from neighbours import Beside, Neighbours, Traffic
from peers import Service
from realtime import Echo, FanOut, Silent
from scenario import HELLO, Crowd, Idle, Load, Mixed, Scenario, Startup, Stream
from tls import Handshakes
from workers import Workers

BROWSER_HEADERS = (
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    ("sec-ch-ua", '"Chromium";v="142", "Not=A?Brand";v="24", "Google Chrome";v="142"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("DNT", "1"),
    ("Upgrade-Insecure-Requests", "1"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "http://127.0.0.1/account/orders?page=2&sort=date"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    (
        "Cookie",
        "session=0f8c4d1e2b7a49d3a6c5e9f10b2d3c4e; theme=dark; consent=yes; _ga=GA1.1.123456789.1700000000",
    ),
    ("If-None-Match", 'W/"1f4-18c2a3b4d5e"'),
    ("Priority", "u=0, i"),
)
assert len(BROWSER_HEADERS) == 19, "twenty with Host"

ITEM = Request(target="/items/42?currency=USD", headers=(("Accept", "application/json"),))
ITEM_ANSWER = b'{"id":42,"name":"Item 42","price":9.5,"tags":["small","USD"]}'

MB = 1_000_000
UPLOAD = Request("POST", headers=(("Content-Length", str(100 * MB)),))

# Peers that need many times as long as the rest add little information in each further scenario.
ASGI = ("floor", "peregrine", "h2corn", "granian", "m0serve", "saltare", "fastpysgi", "uvicorn")
WSGI = ("peregrine", "bjoern", "fastpysgi", "granian", "m0serve", "uwsgi")
WEBSOCKET = ("peregrine", "h2corn", "granian", "m0serve", "saltare", "uvicorn", "socketify")
TLS = ("h2corn", "peregrine", "granian", "uvicorn", "hypercorn")  # and nginx, which has no application
HTTP2 = ("h2corn", "peregrine", "granian", "hypercorn")  # those that have it without TLS, too
PATHSEND = ("h2corn", "granian")  # those that have the extension
POOLS = (
    "peregrine",
    "granian",
    "m0serve",
    "uwsgi",
    "waitress",
    "cheroot",
    "gunicorn-gthread",
)  # those that answer several requests at once

DOWNLOAD = Service("apps:download")
STARLETTE = Service("starlette_app:app")
ECHO = Service("apps:echo_messages")
WSGI_HELLO = Service("wsgi_apps:hello", "wsgi")

STREAMED = (
    ("download", "response in pieces of 64 KiB", "apps:download", f"/{100 * MB}", 0),
    ("upload", "upload", "apps:upload", "/", 100 * MB),
)

SCENARIOS: tuple[Scenario, ...] = (
    Load("hello64", "Hello, 64 connections"),
    Load("hello1", "Hello, 1 connection", connections=1),
    Load(
        "headers",
        "Hello, 20 browser-like headers, 64 connections",
        peers=ASGI,
        request=Request(headers=BROWSER_HEADERS),
    ),
    Load(
        "accesslog",
        "Hello with the access log on (to /dev/null), 64 connections",
        Service("apps:hello", log="text"),
        peers=ASGI,
    ),
    Load(
        "accesslogjson",
        "Hello with the access log as JSON (to /dev/null), 64 connections",
        Service("apps:hello", log="json"),
        peers=("floor", "peregrine", "h2corn"),
    ),
    Load("fastapi", "FastAPI JSON route, 64 connections", Service("fastapi_app:app"), request=ITEM, answer=ITEM_ANSWER),
    Load("starlette", "Starlette JSON route, 64 connections", STARLETTE, peers=ASGI, request=ITEM, answer=ITEM_ANSWER),
    Load(
        "post1k",
        "Echo of a 1 KB POST, 64 connections",
        Service("apps:echo"),
        peers=ASGI,
        request=Request("POST", headers=(("Content-Type", "application/octet-stream"),), body=b"x" * 1024),
        answer=b"x" * 1024,
    ),
    Load(
        "pipeline16",
        "Hello, 16 requests at once, 64 connections",
        peers=ASGI,
        pipelined=16,
        # wrk takes one latency a batch and then corrects it as if it were one a request: no percentiles.
        columns=tuple(column for column in Load.columns if column.metric not in ("p50_us", "p99_us")),
    ),
    Stream(
        "download100m",
        "100 MB response in pieces of 64 KiB, 4 connections",
        DOWNLOAD,
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
    ),
    Stream(
        "block100m",
        "100 MB response in one piece, 4 connections",
        Service("apps:block"),
        peers=ASGI,
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
    ),
    Stream(
        "upload100m",
        "100 MB upload, 4 connections",
        Service("apps:upload"),
        request=UPLOAD,
        sent=100 * MB,
        answer=b"100000000",
    ),
    Stream(
        "pathsend1m",
        "1 MB file by http.response.pathsend, 16 connections",
        Service("apps:pathsend"),
        peers=PATHSEND,
        request=Request(target=f"/{MB}"),
        answer=MB,
        in_file=True,
        connections=16,
    ),
    Stream(
        "pathsend100m",
        "100 MB file by http.response.pathsend, 4 connections",
        Service("apps:pathsend"),
        peers=PATHSEND,
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
        in_file=True,
    ),
    Stream(
        "fileresponse1m",
        "1 MB file by Starlette's FileResponse, 16 connections",
        STARLETTE,
        peers=ASGI,
        start=ITEM,
        request=Request(target=f"/files/{MB}"),
        answer=MB,
        in_file=True,
        connections=16,
    ),
    Mixed("slowreaders", "Hello, 64 connections, beside 50 slow readers of 10 MB", DOWNLOAD, peers=ASGI),
    Crowd("open10000", "Hello, 64 busy connections of 10,000", peers=ASGI),
    Idle("idle5000", "5,000 idle keep-alive connections"),
    Startup("startup", "Start to first answer"),
    Workers(
        "workers4",
        "4 workers: 200 keep-alive connections, and at rest",
        Service("apps:process_id", workers=4),
        peers=("peregrine", "gunicorn", "uvicorn", "granian", "h2corn"),
    ),
    Echo(
        "websocket128",
        "WebSocket: echo of 128 bytes, 64 connections",
        ECHO,
        peers=("floor", *WEBSOCKET, "hypercorn"),
    ),
    Echo(
        "websocket128deflated",
        "WebSocket: echo of 128 bytes, compressed, 64 connections",
        ECHO,
        peers=("floor", *WEBSOCKET, "hypercorn"),
        deflated=True,
    ),
    Echo(
        "websocket16k",
        "WebSocket: echo of 16 KiB, 64 connections",
        ECHO,
        peers=("floor", *WEBSOCKET, "hypercorn"),
        size=16_384,
    ),
    Echo(
        "websocket16kdeflated",
        "WebSocket: echo of 16 KiB, compressed, 64 connections",
        ECHO,
        peers=("floor", *WEBSOCKET, "hypercorn"),
        size=16_384,
        deflated=True,
    ),
    Echo(
        "websocket1m",
        "WebSocket: echo of 1 MB, 4 connections",
        ECHO,
        peers=(*WEBSOCKET, "hypercorn"),
        size=MB,
        connections=4,
    ),
    Echo(
        "websocket1mdeflated",
        "WebSocket: echo of 1 MB, compressed, 4 connections",
        ECHO,
        peers=(*WEBSOCKET, "hypercorn"),
        size=MB,
        deflated=True,
        connections=4,
    ),
    Silent(
        "websocketidle",
        "10,000 silent WebSockets, a ping on each every 4 s if the server has pings",
        Service("apps:echo_messages", ping_interval=4),
        peers=WEBSOCKET,
    ),
    FanOut(
        "websocketfanout",
        "WebSocket: 128 bytes to each of 5,000 connections",
        Service("apps:fanout"),
        peers=("peregrine", "h2corn", "granian", "uvicorn"),
    ),
    Load("wsgihello64", "WSGI: hello, 64 connections", WSGI_HELLO),
    Load("wsgihello1", "WSGI: hello, 1 connection", WSGI_HELLO, peers=("floor", *WSGI), connections=1),
    Load(
        "wsgiheaders",
        "WSGI: hello, 20 browser-like headers, 64 connections",
        WSGI_HELLO,
        peers=("floor", *WSGI),
        request=Request(headers=BROWSER_HEADERS),
    ),
    Load(
        "wsgiflask",
        "WSGI: Flask text route, 64 connections",
        Service("flask_app:app", "wsgi"),
        peers=WSGI,
        request=Request(target="/greetings/Ada?word=Welcome"),
        answer=b"Welcome, Ada!",
    ),
    Load(
        "wsgimounted",
        "WSGI: hello, with an ASGI application mounted beside it, 64 connections",
        Service("wsgi_apps:hello", "wsgi", mount="/asgi=apps:hello"),
        peers=("granian",),  # which has no mounts: its plain hello
    ),
    Load(
        "wsgisleep",
        "WSGI: asleep for 10 ms, 64 connections",
        Service("wsgi_apps:work", "wsgi", blocking=True),
        peers=POOLS,
        request=Request(target="/sleep"),
    ),
    Neighbours(
        "wsgimix",
        "WSGI: fast requests (0.1 ms of CPU) among as many slow ones (20 ms asleep), at 60 % of capacity",
        MIX,
        peers=POOLS,
        fast=Traffic(FAST, share=0.3),
        slow=Traffic(SLOW, share=0.3),
    ),
    Neighbours(
        "wsgiburn",
        "WSGI: fast requests, 32 a second on 4 connections, beside 8 connections of slow ones (50 ms of CPU)",
        MIX,
        peers=POOLS,
        # Busy connections would flatter a server that answers them a hundred times and then not at all for a while.
        fast=Traffic(HELLO, rate=32.0),
        slow=Traffic(Request(target="/burn"), busy=8),
        pool=4,
        stretch=2,
    ),
    Beside(
        "wsgibeside",
        "ASGI: hello, 4,000 a second, beside 16 connections of a WSGI view asleep for 20 ms in the same process",
        Service("wsgi_apps:work", "wsgi", mount="/asgi=apps:hello"),
        peers=(),
        watched=Traffic(Request(target="/asgi/"), rate=4000.0),
        other=Traffic(SLOW, busy=16),
    ),
    Stream(
        "wsgidownload100m",
        "WSGI: 100 MB response in pieces of 64 KiB, 4 connections",
        Service("wsgi_apps:download", "wsgi", blocking=True),
        peers=(*WSGI, "waitress", "gunicorn-gthread"),
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
    ),
    Stream(
        "wsgiblock100m",
        "WSGI: 100 MB response in one piece, 4 connections",
        Service("wsgi_apps:block", "wsgi", blocking=True),
        peers=WSGI,
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
    ),
    Stream(
        "wsgifile100m",
        "WSGI: 100 MB file by wsgi.file_wrapper, 4 connections",
        Service("wsgi_apps:file", "wsgi", blocking=True),
        peers=WSGI,
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
        in_file=True,
    ),
    Stream(
        "wsgiupload100m",
        "WSGI: 100 MB upload, 4 connections",
        Service("wsgi_apps:upload", "wsgi", blocking=True),
        peers=(*WSGI, "waitress", "gunicorn-gthread"),
        request=UPLOAD,
        sent=100 * MB,
        answer=b"100000000",
    ),
    H2Load(
        "tls",
        "TLS: hello, 64 connections",
        Service("apps:hello", tls=True),
        peers=(*TLS, "nginx"),
        connections=64,
        streams=1,
    ),
    *(
        H2Load(
            f"tls{kind}100m",
            f"TLS: 100 MB {text}, 4 connections",
            Service(app, tls=True),
            peers=TLS,
            target=target,
            connections=4,
            streams=1,
            transfers=12,
            sent=sent,
            is_small=False,
        )
        for kind, text, app, target, sent in STREAMED
    ),
    Idle("tlsidle5000", "TLS: 5,000 idle connections", Service("apps:hello", tls=True), peers=(*TLS, "nginx")),
    Handshakes("tlsfull", "TLS: full handshakes", Service("apps:hello", tls=True), peers=(*TLS, "nginx")),
    Handshakes(
        "tlsresumed",
        "TLS: resumed handshakes",
        Service("apps:hello", tls=True),
        peers=(*TLS, "nginx"),
        resumed=True,
    ),
    H2Load(
        "http2",
        "HTTP/2: hello, 16 connections with 10 streams each",
        Service("apps:hello", http2=True),
        peers=HTTP2,
    ),
    H2Load(
        "http2tls",
        "HTTP/2 over TLS: hello, 16 connections with 10 streams each",
        Service("apps:hello", http2=True, tls=True),
        peers=(*HTTP2, "nginx"),
    ),
    H2Load(
        "http2wsgi",
        "HTTP/2, WSGI: hello, 16 connections with 10 streams each",
        Service("wsgi_apps:hello", "wsgi", http2=True),
        peers=("granian", "peregrine"),
    ),
    *(
        H2Load(
            f"http2{kind}100m{streams}",
            f"HTTP/2: 100 MB {text}, 1 connection with {streams} {'stream' if streams == 1 else 'streams'}",
            Service(app, http2=True),
            peers=HTTP2,
            target=target,
            connections=1,
            streams=streams,
            transfers=10,
            sent=sent,
            is_small=False,
        )
        for kind, text, app, target, sent in STREAMED
        for streams in (1, 10)
    ),
    Http2Idle("http2idle5000", "HTTP/2: 5,000 idle connections", Service("apps:hello", http2=True), peers=HTTP2),
)
