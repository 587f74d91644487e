"""What is measured, in the order of the report."""

from client import Request
from scenario import Crowd, Idle, Load, Mixed, Scenario, Startup, Stream

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

SCENARIOS: tuple[Scenario, ...] = (
    Load("hello64", "Hello, 64 connections"),
    Load("hello1", "Hello, 1 connection", connections=1),
    Load("headers", "Hello, 20 browser-like headers, 64 connections", request=Request(headers=BROWSER_HEADERS)),
    Load("accesslog", "Hello with the access log on (to /dev/null), 64 connections", log="text"),
    Load("accesslogjson", "Hello with the access log as JSON (to /dev/null), 64 connections", log="json"),
    Load("fastapi", "FastAPI JSON route, 64 connections", app="fastapi_app:app", request=ITEM, answer=ITEM_ANSWER),
    Load(
        "starlette", "Starlette JSON route, 64 connections", app="starlette_app:app", request=ITEM, answer=ITEM_ANSWER
    ),
    Load(
        "post1k",
        "Echo of a 1 KB POST, 64 connections",
        app="apps:echo",
        request=Request("POST", headers=(("Content-Type", "application/octet-stream"),), body=b"x" * 1024),
        answer=b"x" * 1024,
    ),
    Load(
        "pipeline16",
        "Hello, 16 requests at once, 64 connections",
        pipelined=16,
        # wrk takes one latency a batch and then corrects it as if it were one a request: no percentiles.
        columns=tuple(column for column in Load.columns if column.metric not in ("p50_us", "p99_us")),
    ),
    Stream(
        "download100m",
        "100 MB response in pieces of 64 KiB, 4 connections",
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
    ),
    Stream(
        "upload100m",
        "100 MB upload, 4 connections",
        app="apps:upload",
        request=Request("POST", headers=(("Content-Length", str(100 * MB)),)),
        sent=100 * MB,
        answer=b"100000000",
    ),
    Stream(
        "pathsend1m",
        "1 MB file by http.response.pathsend, 16 connections",
        app="apps:pathsend",
        request=Request(target=f"/{MB}"),
        answer=MB,
        in_file=True,
        connections=16,
    ),
    Stream(
        "pathsend100m",
        "100 MB file by http.response.pathsend, 4 connections",
        app="apps:pathsend",
        request=Request(target=f"/{100 * MB}"),
        answer=100 * MB,
        in_file=True,
    ),
    Stream(
        "fileresponse1m",
        "1 MB file by Starlette's FileResponse, 16 connections",
        app="starlette_app:app",
        start=ITEM,
        request=Request(target=f"/files/{MB}"),
        answer=MB,
        in_file=True,
        connections=16,
    ),
    Mixed("slowreaders", "Hello, 64 connections, beside 50 slow readers of 10 MB"),
    Crowd("open10000", "Hello, 64 busy connections of 10,000"),
    Idle("idle5000", "5,000 idle keep-alive connections"),
    Startup("startup", "Start to first answer"),
)
