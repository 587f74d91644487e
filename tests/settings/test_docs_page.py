"""docs/settings.md agrees with the table."""

import functools
import re
from pathlib import Path

from ianus.settings.docs_page import EXPLAINED, build_page
from ianus.settings.schema import EXTRA_INPUTS, table
from ianus.settings.sources import read_sources
from tests.rows import for_each_row

page = functools.cache(build_page)


def test_the_page_is_up_to_date() -> None:
    path = Path(__file__).parents[2] / "docs" / "settings.md"
    assert path.read_text() == page(), "run: python -m ianus.settings.docs_page > docs/settings.md"


@for_each_row("name", [*(name for name, _, _ in table()), *EXTRA_INPUTS])
def test_every_setting_has_a_row(name: str) -> None:
    assert f"| `IANUS_{name.upper()}`" in page()


def test_every_other_name_has_a_row() -> None:
    aliases = [alias for _, setting, _ in table() for alias in setting.aliases]
    for alias in aliases:
        assert f"| `--{alias.name.replace('_', '-')}` | " in page()
    # If the value is converted, the page explains it.
    assert {alias.name for alias in aliases if alias.convert is not str} == set(EXPLAINED)


def test_the_example_is_a_good_file(nowhere: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page(), re.MULTILINE | re.DOTALL)
    (nowhere / "ianus.toml").write_text(example)
    configuration = read_sources((), {})
    assert configuration.app == "main:app"
    assert len(configuration.origins) == len(re.findall(r"^[\w-]+ =|^\[", example, re.MULTILINE))
