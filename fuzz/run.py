"""python -m fuzz.run TARGET FOLDER...: mutates the folders' inputs and the seeds until a failure is found.

All arguments but TARGET are libFuzzer's. New inputs go to the first folder; files in place of folders are tried once.
"""

import hashlib
import importlib
import logging
import sys
from pathlib import Path

import atheris

from fuzz import TARGETS


def main() -> None:
    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m fuzz.run {'|'.join(TARGETS)} FOLDER... [libFuzzer's arguments]")
    # Everything that is to guide the fuzzer must be loaded before it is set up.
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["ianus"]):
        target = importlib.import_module(f"fuzz.{name}")
    # libFuzzer makes commands of it when it restarts itself, as for -merge=1.
    sys.argv[0] = f"{sys.executable} -m fuzz.run {name}"
    folder = Path(sys.argv[1])
    if folder.is_dir() and not any(argument.startswith("-merge") for argument in sys.argv):
        for data in target.seeds():
            folder.joinpath(hashlib.sha1(data).hexdigest()).write_bytes(data)
    logging.disable()
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
