"""The example pages do what they show, in a browser, as `make serve` serves them."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.browser.person import Person
from tests.helpers import Server, until
from tests.test_examples import EXAMPLES, make_serve

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def desk() -> Iterator[Person]:
    with closing(Person("Ada", 1280, 800)) as person:
        yield person


@pytest.fixture(scope="module")
def phone() -> Iterator[Person]:
    with closing(Person("Grace", 360, 640)) as person:
        yield person


@pytest.fixture
def ada(desk: Person, site: object) -> Iterator[Person]:
    """She sits at a desk, and leaves before the site is stopped."""
    yield desk
    desk.leave()


@pytest.fixture
def grace(phone: Person, site: object) -> Iterator[Person]:
    """She has a phone, and leaves likewise."""
    yield phone
    phone.leave()


@pytest.fixture
def site(start_server: Callable[..., Server]) -> Callable[..., Server]:
    """site(bind): the server as `make serve` starts it."""
    options, app = make_serve()

    def start(bind: str = "127.0.0.1:0") -> Server:
        return start_server(*options, app=app, app_dir=EXAMPLES, bind=(bind,))

    return start


def url(server: Server, path: str) -> str:
    return f"http://{place(server)}{path}"


def place(server: Server) -> str:
    assert isinstance(server.address, tuple)
    host, port = server.address
    return f"{host}:{port}"


def say(person: Person, text: str) -> None:
    person.type("#name", person.name)
    person.type("#text", text)
    person.press("#chat button")


def moves(person: Person, selector: str) -> None:
    """Waits until what can be read there has changed twice: once may be the first time."""
    for _ in range(2):
        before = person.text(selector)
        until(lambda before=before: person.text(selector) != before, f"{selector} moves")  # type: ignore[misc]


def said(person: Person) -> list[str]:
    """The messages of the room, without their times, those out of sight too."""
    return [line.strip().partition(" ")[2] for line in person.texts("#messages li")]


def test_two_people_chat_while_the_feed_moves(ada: Person, grace: Person, site: Callable[..., Server]) -> None:
    server = site()
    for person in (ada, grace):
        person.visit(url(server, "/chat/"))
        person.sees("#state", "Connected")
    say(ada, "Is anybody there?")
    grace.sees("#messages", "Is anybody there?")
    say(grace, "<b>I</b> am & « stay », κόσμε")
    ada.sees("#messages", "stay")
    for person in (ada, grace):
        assert said(person) == ["Ada: Is anybody there?", "Grace: <b>I</b> am & « stay », κόσμε"]
        person.sees("#people", "2 people here")
        moves(person, "time")
    ada.photograph("chat-desk")
    grace.photograph("chat-phone")
    grace.visit(url(server, "/"))
    ada.sees("#people", "1 person here")
    grace.driver.back()
    ada.sees("#people", "2 people here")
    say(ada, "Welcome back.")
    grace.sees("#messages", "Welcome back.")
    assert ada.complaints() == []


def test_who_comes_later_reads_what_was_said(ada: Person, grace: Person, site: Callable[..., Server]) -> None:
    server = site()
    ada.visit(url(server, "/chat/"))
    ada.sees("#state", "Connected")
    ada.type("#name", ada.name)
    ada.type("#text", "".join(f"Line {number}.\n" for number in range(60)))
    until(lambda: said(ada) == [f"Ada: Line {number}." for number in range(60)], "all that Ada said")
    grace.visit(url(server, "/chat/"))
    until(lambda: said(grace) == [f"Ada: Line {number}." for number in range(10, 60)], "the end of that")
    grace.photograph("chat-later")


def test_a_restart_reconnects(ada: Person, grace: Person, site: Callable[..., Server]) -> None:
    server = site()
    for person in (ada, grace):
        person.visit(url(server, "/chat/"))
        person.sees("#state", "Connected")
    say(ada, "Before.")
    grace.sees("#messages", "Before.")
    server.stop()
    for person in (ada, grace):
        person.sees("#state", "Connection lost")
    grace.type("#name", grace.name)
    grace.type("#text", "Kept while there is no server.")
    grace.press("#chat button")
    grace.photograph("chat-lost")
    server = site(place(server))
    for person in (ada, grace):
        person.sees("#state", "Connected")
        moves(person, "time")
    grace.press("#chat button")
    ada.sees("#messages", "Kept")
    say(ada, "After.")
    grace.sees("#messages", "After.")
    for person in (ada, grace):
        assert said(person) == ["Ada: Before.", "Grace: Kept while there is no server.", "Ada: After."]
    grace.photograph("chat-again")


@pytest.mark.parametrize(("path", "name"), [("/", "wsgi"), ("/live/", "hello"), ("/chat/", "chat")])
def test_pages_fit_a_phone(grace: Person, site: Callable[..., Server], path: str, name: str) -> None:
    server = site()
    grace.visit(url(server, path))
    moves(grace, "time")
    if name == "chat":
        say(grace, "W" * 200)
        grace.sees("#messages", "W")
    grace.photograph(f"{name}-fits")
    assert grace.sideways() == 0
    small = {control: size for control, size in grace.controls().items() if size < 44}
    assert small == {}
    assert grace.complaints() == []


def test_the_clock_goes_on_while_the_wsgi_page_s_requests_sleep(ada: Person, site: Callable[..., Server]) -> None:
    ada.visit(url(site(), "/"))
    moves(ada, "time")
    ada.press("#sleep")
    moves(ada, "time")
    ada.sees("output[for=sleep]", "All are answered after")
    ada.press("#stream")
    ada.sees("output[for=stream]", "Line 1 of 10")
    ada.photograph("wsgi-desk")
    ada.sees("output[for=stream]", "Line 10 of 10")
