"""Command lines and numbers of deploy/ and of docs/deployment.md."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ianus.settings.schema import Settings
from tests.deploy import files

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("IANUS_")}


def settings(place: str) -> Settings:
    return Settings.from_values(files.options(files.commands()[place]))


def seconds(pattern: str, path: Path) -> float:
    """Returns the one number of seconds in the file that follows the pattern."""
    (found,) = re.findall(rf"^\s*{pattern}(\d+)s?;?$", path.read_text(), re.MULTILINE)
    return float(found)


TABLE = [row["platform"] for row in files.platforms()]
# Those of the table are parsed by test_the_options_fit_the_platform, too.
PLACES = [pytest.param(place, marks=pytest.mark.extended if place in TABLE else ()) for place in files.commands()]


@pytest.mark.parametrize("place", PLACES)
def test_the_server_accepts_the_command_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "main.py").write_text("async def app(scope, receive, send): ...\n")
    command = [sys.executable, "-P", "-W", "error", "-m", "ianus", "--check-config", *files.commands()[place]]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("row", files.platforms(), ids=lambda row: str(row["platform"]))
def test_the_options_fit_the_platform(row: dict[str, str]) -> None:
    given = settings(row["platform"])
    if row["connections idle"] != "none":
        assert given.timeout_keep_alive > float(row["connections idle"].removesuffix(" s"))
    # One second is for the platform itself.
    assert given.timeout_stop + 1 <= float(row["killed after"].removesuffix(" s"))
    assert row["signal"] in ("SIGTERM", "SIGINT")
    assert given.health_path or row["health checks"].startswith("none")


def test_numbers_of_the_unit_fit_the_command_line() -> None:
    unit, given = files.unit(files.SERVICE), settings("service")
    assert float(unit["TimeoutStopSec"]) > given.timeout_stop
    assert given.timeout == 30
    assert float(unit["WatchdogSec"]) > given.timeout
    assert unit["ExecStart"].count(f"unix:{files.unit(files.SOCKET)['ListenStream']}") == 1


def test_idle_connections_of_proxies_are_closed_before_the_server_closes_them() -> None:
    keep_alive = settings("service").timeout_keep_alive
    assert seconds("keepalive_timeout ", files.NGINX) < keep_alive
    assert seconds("timeout http-keep-alive ", files.HAPROXY) < keep_alive
    assert seconds("keepalive ", files.CADDY) < keep_alive


def test_proxies_notice_a_server_that_stops_within_its_delay() -> None:
    found = re.search(r"check inter (\d+)s fall (\d+)", files.HAPROXY.read_text())
    assert found is not None
    assert int(found[1]) * int(found[2]) < settings("haproxy.cfg").drain_delay
    assert seconds("health_interval ", files.CADDY) + seconds("health_timeout ", files.CADDY) < (
        settings("Caddyfile").drain_delay
    )


def test_numbers_of_the_pod_fit_the_command_line() -> None:
    given, container = settings("kubernetes"), files.container()
    pod = files.manifests()["Deployment"]["spec"]["template"]["spec"]
    assert given.timeout_stop < pod["terminationGracePeriodSeconds"]
    ready, live = container["readinessProbe"], container["livenessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] <= given.drain_delay
    # The server replaces stuck workers itself; a restart of the container is for the case that it cannot.
    assert live["periodSeconds"] * live["failureThreshold"] > 2 * given.timeout
    assert given.health_path == "/up"
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")} == {"/up"}
    assert [f"0.0.0.0:{port['containerPort']}" for port in container["ports"]] == [
        files.options(container["args"])["bind"]
    ]


def test_labels_and_ports_of_the_manifests_agree() -> None:
    manifests = files.manifests()
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [manifests[kind]["spec"]["selector"] for kind in ("Deployment", "Service", "PodDisruptionBudget")]
    assert [selector.get("matchLabels", selector) for selector in selectors] == [labels] * 3
    (port,) = manifests["Service"]["spec"]["ports"]
    names = {port["name"] for port in files.container()["ports"]}
    probes = {files.container()[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "readiness", "liveness")}
    assert {port["targetPort"]} == probes == names
    disruption = manifests["PodDisruptionBudget"]["spec"]["maxUnavailable"]
    assert 0 < disruption < manifests["Deployment"]["spec"]["replicas"]


def test_the_page_names_each_file() -> None:
    names = {path.relative_to(files.DEPLOY).as_posix() for path in files.DEPLOY.rglob("*") if path.is_file()}
    assert set(re.findall(r"\(\.\./deploy/([^)]+)\)", files.PAGE.read_text())) == names
