"""The choice of an application by the path."""

import pytest

from ianus.exchange.recording_exchange import RecordingGateway, open_by
from ianus.gateway.mounts import Mounts

PREFIXES = ("", "/api", "/api/v2", "/a")


@pytest.fixture
def gateways() -> dict[str, RecordingGateway]:
    return {prefix: RecordingGateway() for prefix in PREFIXES}


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/", ""),
        ("*", ""),
        ("/other", ""),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/v1", "/api"),
        ("/api/v2", "/api/v2"),
        ("/api/v2/item", "/api/v2"),
        ("/api/v23", "/api"),
        ("/apis", ""),
        ("/API", ""),
        ("/a/api", "/a"),
        ("/ap", ""),
    ],
)
def test_the_longest_prefix_that_ends_at_a_segment_is_chosen(
    gateways: dict[str, RecordingGateway], path: str, prefix: str
) -> None:
    open_by(Mounts(list(gateways.items())), path)
    assert [mounted for mounted, gateway in gateways.items() if gateway.exchanges] == [prefix]


@pytest.mark.parametrize("mounted", [[], [("/api", RecordingGateway())]])
def test_there_is_an_application_for_all_other_paths(mounted: list[tuple[str, RecordingGateway]]) -> None:
    with pytest.raises(ValueError, match=r"^mounts need an application for all other paths$"):
        Mounts(mounted)


def test_mounts_have_a_name_for_messages() -> None:
    assert Mounts([("", RecordingGateway())]).name == "mounts"
