"""The fuzzers' targets keep their contracts for all inputs that are kept: the corpus and former findings."""

import importlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz import CORPUS, FINDINGS, TARGETS

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Applications that fail are reported in detail."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_inputs_that_are_kept(target: str) -> None:
    check = importlib.import_module(f"fuzz.{target}").check
    kept = sorted(path for folder in (CORPUS, FINDINGS) for path in (folder / target).glob("*"))
    assert kept
    for path in kept:
        try:
            check(path.read_bytes())
        except Exception as error:
            error.add_note(f"the input is {path.relative_to(ROOT)}")
            raise


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    module = importlib.import_module(f"fuzz.{target}")
    seeds = list(module.seeds())
    assert seeds
    for data in seeds:
        module.check(data)
