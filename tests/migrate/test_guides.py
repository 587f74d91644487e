"""The pages of docs/migrating show results as `ianus migrate` prints them, and each server has one."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ianus.migrate.command import PROGRAMS, migrate
from tests.migrate.pages import load_page, parse_page
from tests.rows import for_each_row

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "migrating").glob("*.md"))

# A command of a page, and the block after it. Files are the blocks before it.
EXAMPLE = re.compile(r"^    \$ ianus migrate (.+)\n\n```toml\n(.*?)```\n", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"this `([\w.]+)`:\n\n```\w+\n(.*?)```\n", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_example_is_the_result_of_its_command(page: Path, nowhere: Path) -> None:
    text = page.read_text()
    for name, content in FILE.findall(text):
        (nowhere / name).write_text(content)
    examples = EXAMPLE.findall(text)
    assert len(examples) == 1
    command, output = examples[0]
    assert migrate(shlex.split(command)) == output
    assert f"`ianus docs migrating/{page.stem}`" in output
    # Without it, the file of the certificate has to contain the key.
    assert ("ssl_certfile" in output) == ("ssl_keyfile" in output)
    assert not load_page(parse_page(output), nowhere).warnings


def test_each_server_has_a_page_in_the_index() -> None:
    linked = set(re.findall(r"\]\(migrating/([\w-]+\.md)\)", (DOCS / "migrating.md").read_text()))
    assert linked == {page.name for page in PAGES}
    assert len(PAGES) == len({server.SERVER for server in PROGRAMS.values()}) + 1  # NGINX Unit has no command


@for_each_row("page", [DOCS / "migrating.md", *PAGES])
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        text = (page.parent / path).read_text()
        headings = {
            re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^#+ (.*)", text, re.M)
        }
        assert not heading or heading in headings, target


@for_each_row("page", PAGES)
def test_settings_in_a_page_exist(page: Path) -> None:
    from ianus.settings.schema import NAMES

    for name in re.findall(r"`([a-z]+_[a-z_]+)(?: = [^`]*)?`", page.read_text()):
        assert name in NAMES or name in ("uwsgi_params", "uwsgi_pass", "proxy_pass", "mod_wsgi", "raw_path"), name


@pytest.mark.slow
def test_the_program_of_the_page_of_uvicorn_stops_after_a_signal(nowhere: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / "migrating/uvicorn.md").read_text(), re.DOTALL)
    (nowhere / "shop").mkdir()
    (nowhere / "shop/main.py").write_text(APP)
    # The build under test, and the folder, which PYTHONSAFEPATH of the tests excludes.
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(nowhere)]))
    for source, expected in (
        (program, ""),
        (f"import logging\nlogging.basicConfig(level=logging.INFO)\n{program}", START),
    ):
        (nowhere / "program.py").write_text(source.replace(":8000", ":0"))
        completed = subprocess.run(
            [sys.executable, "program.py"],
            check=False,
            timeout=60,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert completed.returncode == 0
        assert re.fullmatch(expected, completed.stderr), completed.stderr


START = r"INFO:ianus\.error:Ianus \S+ serves shop\.main:app \(asgi3\) on http://.*\n(?:INFO:ianus.*\n)+"


# Sends the signal once it is started, as a child of the server's process would.
APP = """
import os
import signal


async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    os.kill(os.getpid(), signal.SIGTERM)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
"""
