"""The manifests for Kubernetes: its schemas accept them, and the probes get the right answers at each moment."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.deploy import files
from tests.deploy.running import free_ports, replaced, running, start, status
from tests.helpers import WAIT_SECONDS, Client, until

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("kind", files.manifests())
def test_the_schemas_accept_the_manifest(kind: str) -> None:
    import kubernetes_validate  # Installed by make conformance alone.

    kubernetes_validate.validate(files.manifests()[kind], kubernetes_validate.latest_version(), strict=True)


def test_the_pod_has_no_rights() -> None:
    """The profile "restricted" of Pod Security Standards."""
    pod = files.manifests()["Deployment"]["spec"]["template"]["spec"]
    context = files.container()["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})
    assert context["readOnlyRootFilesystem"]
    assert (
        f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
        == (files.instructions()["USER"])
    )


def worker(address: tuple[str, int]) -> int:
    """Returns the pid of the worker that answers a new connection."""
    with Client(address) as client:
        return int(json.loads(client.get("/").body)["pid"])


def test_the_probes_of_a_pod_from_start_to_end(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    _, *arguments = files.container()["args"]
    line = replaced("\0".join(arguments), {"0.0.0.0:8000": f"127.0.0.1:{port}", "--drain-delay=5": "--drain-delay=1"})
    paths = {
        kind: files.container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    }
    address = ("127.0.0.1", port)
    with contextlib.ExitStack() as stack:
        pod = start(line.split("\0"), cwd=tmp_path, environment={"LOADING_SECONDS": "1"})
        stack.enter_context(running(pod))
        seen: list[int] = []
        workers: set[int] = set()

        def has_started() -> bool:
            seen.append(status(address, paths["startup"]))
            return seen[-1] == 200

        until(has_started, "the startup probe")
        assert set(seen[:-1]) <= {0, 503}, "it has not started"
        assert len(seen) > 1
        until(lambda: len(workers) == 2 or workers.add(worker(address)), "both workers")  # type: ignore[func-returns-value]
        assert status(address, paths["readiness"]) == status(address, paths["liveness"]) == 200
        pod.terminate()
        until(lambda: status(address, paths["readiness"]) == 503, "the readiness probe to fail")
        assert status(address, "/") == 200
        assert pod.wait(WAIT_SECONDS) == 0
