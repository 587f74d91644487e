"""The recommendation for each kind of application, from given measurements."""

from ianus.check.places import Place
from ianus.check.probes import Measurement
from ianus.check.recommendation import Facts, Recommendation, milliseconds, recommend
from tests.rows import for_each_row

PLACE = Place("/srv/main.py", 7, "view")
MIB = 1024 * 1024


def wsgi(*measurements: Measurement, memory_limit: int = 0, memory_worker: int = 0) -> Recommendation:
    return recommend(Facts("main:app", "wsgi", measurements, 4, memory_limit=memory_limit, memory_worker=memory_worker))


def asgi(
    *measurements: Measurement,
    websocket_paths: tuple[str, ...] = (),
    wsgi_advice: str = "",
    in_threads: frozenset[Place] = frozenset(),
) -> Recommendation:
    facts = Facts(
        "main:app",
        "asgi",
        measurements,
        4,
        websocket_paths=websocket_paths,
        wsgi_advice=wsgi_advice,
        in_threads=in_threads,
    )
    return recommend(facts)


def get(path: str = "/", *, seconds: float, cpu: float, is_stream: bool = False) -> Measurement:
    return Measurement(path, 200, seconds, cpu, place=PLACE, is_stream=is_stream)


def test_a_computing_application_has_a_worker_for_each_cpu_and_the_default_threads() -> None:
    advice = wsgi(get(seconds=0.020, cpu=0.019))
    assert (advice.interface, advice.workers, advice.max_threads) == ("wsgi", 4, 64)
    assert advice.command("main:app") == "ianus --workers 4 main:app"


@for_each_row(
    ("seconds", "cpu", "max_threads"),
    [(0.1, 0.01, 64), (0.1, 0.001, 128), (0.1, 0.0012, 96), (0.1, 0.0001, 256), (5.0, 0.0, 256), (0.004, 0.0001, 64)],
)
def test_a_waiting_application_has_threads_that_keep_a_cpu_busy(seconds: float, cpu: float, max_threads: int) -> None:
    assert wsgi(get(seconds=seconds, cpu=cpu)).max_threads == max_threads


def test_the_path_that_waits_for_the_largest_share_decides() -> None:
    advice = wsgi(get("/", seconds=0.001, cpu=0.001), get("/slow", seconds=0.1, cpu=0.001))
    assert advice.max_threads == 128
    assert any("/slow takes 100 ms and computes 1.0 ms; it waits at /srv/main.py:7" in each for each in advice.reasons)


def test_a_stream_of_a_wsgi_application_has_threads_and_the_advice_to_mount_asgi() -> None:
    advice = wsgi(get("/events", seconds=1.0, cpu=0.001, is_stream=True))
    assert advice.max_threads == 256
    assert any("/events sends over a long time" in each and "--mount" in each for each in advice.reasons)


def test_workers_fit_into_the_memory() -> None:
    advice = wsgi(get(seconds=0.001, cpu=0.001), memory_limit=1000 * MIB, memory_worker=300 * MIB)
    assert advice.workers == 2
    assert any("each takes 300 MiB of 1000 MiB" in each for each in advice.reasons)
    tiny = wsgi(get(seconds=0.001, cpu=0.001), memory_limit=100 * MIB, memory_worker=300 * MIB)
    assert tiny.workers == 1
    assert tiny.command("main:app") == "ianus main:app"


def test_a_blocked_event_loop_is_a_change_with_its_line_and_has_more_workers() -> None:
    blocking = Measurement("/slow", 200, 0.05, 0.001, loop_blocked=0.049, place=PLACE)
    advice = asgi(blocking)
    assert advice.workers == 16
    assert advice.max_threads == 0
    (change,) = advice.changes
    assert "GET /slow blocks the event loop for 49 ms at /srv/main.py:7 in view." in change


def test_a_loop_that_is_blocked_for_half_the_time_has_twice_the_workers() -> None:
    half = Measurement("/slow", 200, 0.04, 0.02, loop_blocked=0.02, loop_cpu=0.02, place=PLACE)
    assert asgi(half).workers == 8


def test_a_computation_in_the_event_loop_is_a_change() -> None:
    advice = asgi(Measurement("/report", 200, 0.03, 0.03, loop_cpu=0.03, place=PLACE))
    assert advice.workers == 4
    assert "computes for 30 ms in the event loop at /srv/main.py:7" in advice.changes[0]


def test_waits_of_an_async_application_need_no_change() -> None:
    advice = asgi(Measurement("/", 200, 0.1, 0.001, loop_cpu=0.001))
    assert (advice.interface, advice.workers, advice.changes) == ("asgi", 4, [])


def test_websockets_have_the_reason_for_asgi_and_the_note_on_shared_memory() -> None:
    advice = asgi(get(seconds=0.001, cpu=0.001), websocket_paths=("/chat",))
    assert advice.interface == "asgi"
    assert any("/chat accepts WebSockets" in each for each in advice.reasons)
    assert any("broker" in each for each in advice.reasons)


def test_an_adapted_wsgi_application_is_to_be_served_as_wsgi() -> None:
    advice = asgi(get(seconds=0.001, cpu=0.001), wsgi_advice="serve that application itself")
    assert advice.interface == "wsgi"
    assert advice.changes == ["serve that application itself"]
    assert advice.command("main:app") == "ianus --workers 4 WSGI_APPLICATION"


def test_an_adapted_wsgi_application_beside_websockets_stays_asgi() -> None:
    advice = asgi(get(seconds=0.001, cpu=0.001), wsgi_advice="serve that", websocket_paths=("/chat",))
    assert advice.interface == "asgi"


def test_synchronous_handlers_of_a_framework_are_named() -> None:
    advice = asgi(get(seconds=0.05, cpu=0.001), in_threads=frozenset({PLACE}))
    assert any("handlers are synchronous (/srv/main.py:7 in view)" in each for each in advice.reasons)


def test_no_answer_at_all_still_has_a_recommendation() -> None:
    assert wsgi(Measurement("/")).command("main:app") == "ianus --workers 4 main:app"
    advice = asgi(Measurement("/"))
    assert advice.command("main:app") == "ianus --workers 4 main:app"
    assert advice.reasons == [
        "workers: 4, one for each CPU. Nothing was measured, since no GET was answered or all failed."
    ]


def test_a_failed_response_does_not_count() -> None:
    failed = Measurement("/fail", 500, 0.1, 0.001, place=PLACE)
    assert wsgi(failed, get(seconds=0.001, cpu=0.001)).max_threads == 64


def test_milliseconds_have_two_digits_at_least() -> None:
    assert [milliseconds(each) for each in (0.0004, 0.0123, 1.5)] == ["0.4 ms", "12 ms", "1500 ms"]
