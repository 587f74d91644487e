"""Joins the files of build/coverage that processes under test have written, and prints the coverage of each folder.

`coverage combine` would stop at the first file that it cannot use.
"""

from collections import defaultdict
from pathlib import Path

from coverage import Coverage, CoverageData
from coverage.exceptions import CoverageException, NoSource

FOLDER = Path("build/coverage")


def combine() -> None:
    """Moves the data of all processes into one file, and reports how many files were of no use."""
    unused = 0
    total = CoverageData(str(FOLDER / "data"))
    for path in FOLDER.glob("data.*.*"):
        part = CoverageData(str(path))
        try:
            part.read()
            # Cython's plugin has not recognised these; few lines of a process are lost.
            part.purge_files(
                [name for name in part.measured_files() if name.endswith("x") and not part.file_tracer(name)]
            )
            total.update(part)
        except CoverageException:  # The process was killed while it wrote.
            unused += 1
        part.close()
        path.unlink()
    total.close()
    if unused:
        print(f"Incomplete files of killed processes: {unused}")


def report() -> None:
    coverage = Coverage()
    coverage.load()
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for name in coverage.get_data().measured_files():
        source = Path(name).relative_to(FOLDER.resolve())
        language = "Python" if source.suffix == ".py" else "Cython"
        try:
            _, lines, _, missing, _ = coverage.analysis2(name)
        except NoSource:  # code that a test has made
            continue
        for key in ((str(source.parent), language), ("total", language), ("total", "both")):
            counts[key][0] += len(lines) - len(missing)
            counts[key][1] += len(lines)
    coverage.html_report(directory=str(FOLDER / "html"), ignore_errors=True)
    print(f"{'folder':30} {'':8} {'lines':>7} {'covered':>9}")
    for (folder, language), (covered, number) in sorted(counts.items(), key=lambda each: (each[0][0] == "total", each)):
        if number:
            print(f"{folder:30} {language:8} {number:7} {100 * covered / number:8.1f}%")


combine()
report()
