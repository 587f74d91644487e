"""The files of deploy/: their texts, and the command lines of the server that they have."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

SERVICE = DEPLOY / "systemd" / "shop.service"
SOCKET = DEPLOY / "systemd" / "shop.socket"
NGINX = DEPLOY / "nginx" / "shop.conf"
HAPROXY = DEPLOY / "haproxy" / "haproxy.cfg"
CADDY = DEPLOY / "caddy" / "Caddyfile"
CONTAINER = DEPLOY / "container" / "Containerfile"
KUBERNETES = DEPLOY / "kubernetes" / "shop.yaml"
PROCFILE = DEPLOY / "Procfile"
PAGE = ROOT / "docs" / "deployment.md"


def unit(path: Path) -> dict[str, str]:
    """Returns the assignments of a unit; the last one of a name."""
    return dict(re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE))


def instructions() -> dict[str, str]:
    """Returns the instructions of the last stage of the container file; the last one of a name."""
    text = re.sub(r"\\\n\s*", "", CONTAINER.read_text())
    return dict(re.findall(r"^([A-Z]+) (.*)$", text.rpartition("FROM ")[2], re.MULTILINE))


def image_environment() -> dict[str, str]:
    """Returns the variables of the image but PATH."""
    return dict(pair.split("=", 1) for pair in instructions()["ENV"].split() if not pair.startswith("PATH="))


def manifests() -> dict[str, Any]:
    """Returns the manifests by their kind."""
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(KUBERNETES.read_text())}


def container() -> dict[str, Any]:
    """Returns the container of the pods."""
    (found,) = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def platforms() -> list[dict[str, str]]:
    """Returns the rows of the table of platforms, by the titles of its columns."""
    table = PAGE.read_text().split("## Platforms\n", 1)[1].strip().split("\n\n", 1)[0]
    titles, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return [dict(zip(titles, row, strict=True)) for row in rows]


def commands() -> dict[str, list[str]]:
    """Returns the arguments of each command line of the server, by its place."""
    found = {
        "service": shlex.split(unit(SERVICE)["ExecStart"]),
        "container": json.loads(instructions()["CMD"]),
        "kubernetes": container()["args"],
        "procfile": shlex.split(PROCFILE.read_text().removeprefix("web: ")),
    }
    for path, proxy in ((HAPROXY, "HAPROXY"), (CADDY, "CADDY")):
        line = re.search(r"started by: (ianus .*?main:app)$", path.read_text(), re.MULTILINE | re.DOTALL)
        assert line is not None
        found[path.name] = line[1].replace("\n#", "").replace(proxy, "10.0.0.1").split()
    for row in platforms():
        found[row["platform"]] = ["ianus", *row["options"].strip("`").split(), "main:app"]
    assert all(Path(program).name == "ianus" for program, *_ in found.values())
    return {place: arguments for place, (_, *arguments) in found.items()}


def options(arguments: list[str]) -> Mapping[str, str]:
    """Returns the options with values by the names of their settings."""
    text = " ".join(arguments)
    return {name.replace("-", "_"): value for name, value in re.findall(r"--([a-z-]+)[ =](\S+)", text)}
