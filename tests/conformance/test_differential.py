"""Ianus beside h11 and llhttp: never another body, never another boundary, and no difference that is not listed."""

import itertools
import multiprocessing
import os
from collections.abc import Iterable

import pytest

from tests.conformance.corpus import Mutator, seeds
from tests.conformance.differential import EXAMPLES, LISTED, Difference, differences

QUICK = 15_000
MANY = int(os.environ.get("IANUS_MUTATIONS", "2000000"))


def found(inputs: Iterable[bytes]) -> set[Difference]:
    return {difference for data in inputs for difference in differences(data)}


def test_cases_of_the_codec_tests_and_some_mutations() -> None:
    cases = seeds()
    assert len(cases) > 1000, "the codec's tests are not found"
    assert found([*cases, *EXAMPLES, *itertools.islice(Mutator(cases, 0), QUICK)]) == LISTED


@pytest.mark.conformance
def test_many_mutations() -> None:
    workers = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(mutations, [(start, MANY // workers) for start in range(1, workers + 1)])


def mutations(work: tuple[int, int]) -> None:
    start, count = work
    found(itertools.islice(Mutator(seeds(), start), count))
