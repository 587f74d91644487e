"""Several observers of the same requests."""

import pytest

from ianus.exchange.recording import RecordingConnection, RecordingObserver, reset_in_child
from ianus.exchange.recording_exchange import RecordingGateway
from ianus.telemetry.observer import ObserverGroup
from tests.engine import service, sessions
from tests.exchange.conversation import GET


@pytest.mark.parametrize("wants", [False, True])
def test_all_members_of_a_group_see_each_request(wants: bool) -> None:
    members = RecordingObserver(), RecordingObserver(response_headers=wants)
    group = ObserverGroup(*members)
    assert (group.wants_response_headers, group.wants_queue_time) == (wants, False)
    gateway = RecordingGateway()
    client = RecordingConnection(shared := sessions(service(gateway, observer=group)))
    client.receive(GET)
    gateway.exchanges[0].respond(404)
    gateway.exchanges[0].send(b"ok")
    gateway.exchanges[0].end_call()
    client.resume()
    assert [[facts["status"] for facts in member.requests] for member in members] == [[404], [404]]
    reset_in_child(shared)
    assert all(member.is_child for member in members)
    client.lose()
    gateway.exchanges.clear()
