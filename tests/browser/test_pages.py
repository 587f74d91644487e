"""The example pages work in a browser, as `make serve` serves them, with and without TLS."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.browser.browser_user import BrowserUser
from tests.helpers import Server, TlsAddress, until, url_of
from tests.test_examples import EXAMPLES, make_serve

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def desk() -> Iterator[BrowserUser]:
    with closing(BrowserUser("Ada", 1280, 800)) as person:
        yield person


@pytest.fixture(scope="module")
def phone() -> Iterator[BrowserUser]:
    with closing(BrowserUser("Grace", 360, 640)) as person:
        yield person


@pytest.fixture
def ada(desk: BrowserUser, site: object) -> Iterator[BrowserUser]:
    """A user at a desk; her tab is closed before the site is stopped."""
    yield desk
    desk.close_tab()


@pytest.fixture
def grace(phone: BrowserUser, site: object) -> Iterator[BrowserUser]:
    """A user of a phone; her tab is closed before the site is stopped."""
    yield phone
    phone.close_tab()


@pytest.fixture(params=["plain", "tls"])
def site(
    request: pytest.FixtureRequest,
    start_server: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Server]:
    """site(bind): the server as `make serve` starts it, also with ARGS=--tls-dev."""
    options, app = make_serve()
    if request.param == "tls":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        options = [*options, "--tls-dev"]

    def start(bind: str = "127.0.0.1:0") -> Server:
        server = start_server(*options, app=app, app_dir=EXAMPLES, bind=(bind,))
        assert isinstance(server.address, tuple)
        if request.param == "tls":
            server.addresses = [TlsAddress(server.address)]
        return server

    return start


def url(server: Server, path: str) -> str:
    return url_of(server.address, path)


def place(server: Server) -> str:
    assert isinstance(server.address, tuple)
    host, port = server.address
    return f"{host}:{port}"


def send_message(person: BrowserUser, text: str) -> None:
    person.type("#name", person.name)
    person.type("#text", text)
    person.click("#chat button")


def wait_for_change(person: BrowserUser, selector: str) -> None:
    """Waits until the text of the element has changed twice: the first change may be the first text."""
    for _ in range(2):
        before = person.text(selector)
        until(lambda before=before: person.text(selector) != before, f"{selector} moves")  # type: ignore[misc]


def messages(person: BrowserUser) -> list[str]:
    """Returns the messages of the chat without their times, those out of sight too."""
    return [line.strip().partition(" ")[2] for line in person.texts("#messages li")]


def test_two_people_chat_while_the_feed_moves(
    ada: BrowserUser, grace: BrowserUser, site: Callable[..., Server]
) -> None:
    server = site()
    for person in (ada, grace):
        person.visit(url(server, "/chat/"))
        person.wait_for_text("#state", "Connected")
    send_message(ada, "Is anybody there?")
    grace.wait_for_text("#messages", "Is anybody there?")
    send_message(grace, "<b>I</b> am & « stay », κόσμε")
    ada.wait_for_text("#messages", "stay")
    for person in (ada, grace):
        assert messages(person) == ["Ada: Is anybody there?", "Grace: <b>I</b> am & « stay », κόσμε"]
        person.wait_for_text("#people", "2 people here")
        wait_for_change(person, "time")
    ada.save_screenshot("chat-desk")
    grace.save_screenshot("chat-phone")
    grace.visit(url(server, "/"))
    ada.wait_for_text("#people", "1 person here")
    grace.driver.back()
    ada.wait_for_text("#people", "2 people here")
    send_message(ada, "Welcome back.")
    grace.wait_for_text("#messages", "Welcome back.")
    assert ada.console_messages() == []


def test_a_later_client_reads_earlier_messages(
    ada: BrowserUser, grace: BrowserUser, site: Callable[..., Server]
) -> None:
    server = site()
    ada.visit(url(server, "/chat/"))
    ada.wait_for_text("#state", "Connected")
    ada.type("#name", ada.name)
    ada.type("#text", "".join(f"Line {number}.\n" for number in range(60)))
    until(lambda: messages(ada) == [f"Ada: Line {number}." for number in range(60)], "all messages of Ada")
    grace.visit(url(server, "/chat/"))
    until(lambda: messages(grace) == [f"Ada: Line {number}." for number in range(10, 60)], "the last messages of Ada")
    grace.save_screenshot("chat-later")


def test_a_restart_reconnects(ada: BrowserUser, grace: BrowserUser, site: Callable[..., Server]) -> None:
    server = site()
    for person in (ada, grace):
        person.visit(url(server, "/chat/"))
        person.wait_for_text("#state", "Connected")
    send_message(ada, "Before.")
    grace.wait_for_text("#messages", "Before.")
    server.stop()
    for person in (ada, grace):
        person.wait_for_text("#state", "Connection lost")
    grace.type("#name", grace.name)
    grace.type("#text", "Kept while there is no server.")
    grace.click("#chat button")
    grace.save_screenshot("chat-lost")
    server = site(place(server))
    for person in (ada, grace):
        person.wait_for_text("#state", "Connected")
        wait_for_change(person, "time")
    grace.click("#chat button")
    ada.wait_for_text("#messages", "Kept")
    send_message(ada, "After.")
    grace.wait_for_text("#messages", "After.")
    for person in (ada, grace):
        assert messages(person) == ["Ada: Before.", "Grace: Kept while there is no server.", "Ada: After."]
    grace.save_screenshot("chat-again")


@pytest.mark.parametrize(("path", "name"), [("/", "wsgi"), ("/live/", "hello"), ("/chat/", "chat")])
def test_pages_fit_a_phone(grace: BrowserUser, site: Callable[..., Server], path: str, name: str) -> None:
    server = site()
    grace.visit(url(server, path))
    wait_for_change(grace, "time")
    if name == "chat":
        send_message(grace, "W" * 200)
        grace.wait_for_text("#messages", "W")
    grace.save_screenshot(f"{name}-fits")
    assert grace.overflow_pixels() == 0
    small = {control: size for control, size in grace.control_sizes().items() if size < 44}
    assert small == {}
    assert grace.console_messages() == []


def test_the_clock_continues_while_the_wsgi_page_s_requests_sleep(
    ada: BrowserUser, site: Callable[..., Server]
) -> None:
    ada.visit(url(site(), "/"))
    wait_for_change(ada, "time")
    ada.click("#sleep")
    wait_for_change(ada, "time")
    ada.wait_for_text("output[for=sleep]", "All are answered after")
    ada.click("#stream")
    ada.wait_for_text("output[for=stream]", "Line 1 of 10")
    ada.save_screenshot("wsgi-desk")
    ada.wait_for_text("output[for=stream]", "Line 10 of 10")


@pytest.mark.parametrize("version", ["2", "1.1"])
def test_a_websocket_over_tls_has_the_version_that_the_applications_allow(
    desk: BrowserUser,
    start_server: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # WebSockets over HTTP/2 are offered if all applications are ASGI ones.
    mounts = () if version == "2" else ("--mount", "/gate=gate:app")
    server = start_server("--tls-dev", *mounts, "--access-logfile", "-", app="chat:app", app_dir=EXAMPLES)
    assert isinstance(server.address, tuple)
    assert server.output is not None
    versions: list[str] = []
    # On a loaded machine Chromium may open a connection of HTTP/1.1 before it has the settings of the first one.
    while not versions or (versions[-1] != version and len(versions) < 5):
        since = server.output.mark()
        desk.visit(url_of(TlsAddress(server.address), "/"))
        desk.wait_for_text("#state", "Connected")
        desk.close_tab()
        server.output.wait_for(r'"GET / HTTP/2" 200', since)
        versions.append(server.output.wait_for(r'"(?:GET|CONNECT) /room\S* HTTP/(\S+)" ', since)[1])
    assert versions[-1] == version
