"""How the compiled modules are built; everything else is in pyproject.toml.

Every ``ianus/**/*.pyx`` becomes one extension module of the same name. Environment variables choose a
flavour, which the Makefile keeps in directories of their own:

IANUS_DEBUG=1    counts live objects and checks assertions (the C macro ``IANUS_DEBUG``)
IANUS_ASAN=1     AddressSanitizer and UndefinedBehaviorSanitizer; implies the debug flavour
IANUS_FUZZ=1     the same instrumented for libFuzzer, which takes clang: CC=clang
IANUS_PROFILE=1  each object file records how often its branches run, which ``make pgo`` reads
IANUS_PROFILED=F the release build, optimised by the records in the working copy F; GCC only
IANUS_COVERAGE=1 lines are traced, for coverage.py; the debug flavour of the sources that are in build/coverage
IANUS_COMPILE=0  no compiled modules at all: an editable install that is compiled afterwards

``setup.py translate`` translates the modules with the warnings of Cython as errors, and compiles nothing. With
CYTHON_WARNINGS=error the builds have these warnings too, and share their C files with it: `.ci/run` translates once.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from Cython.Build import cythonize
from Cython.Compiler import Options
from Cython.Compiler.Errors import CompileError
from setuptools import Command, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

FUZZ = os.environ.get("IANUS_FUZZ") == "1"
ASAN = FUZZ or os.environ.get("IANUS_ASAN") == "1"
COVERAGE = os.environ.get("IANUS_COVERAGE") == "1"
DEBUG = ASAN or COVERAGE or os.environ.get("IANUS_DEBUG") == "1"
PROFILE = os.environ.get("IANUS_PROFILE") == "1"
PROFILED = os.environ.get("IANUS_PROFILED", "")
# A C file starts with the arguments of the extension, and records belong to its lines. So both builds with records have
# C files of their own, without arguments.
TRANSLATED = f"build/{'profile/' if PROFILE or PROFILED else ''}cython/{sys.implementation.cache_tag}"
JOBS = min(os.cpu_count() or 1, 4)

# The one place for directives. The checks that are off here are made by the code itself for
# values from a peer; `binding` would make every method a Python function object with its own overhead.
DIRECTIVES: dict[str, int | str] = {
    "language_level": 3,
    "binding": False,
    "boundscheck": False,
    "cdivision": True,
    "nonecheck": True,
    "embedsignature": True,
    "embedsignature.format": "clinic",  # the format that inspect.signature() reads
    "initializedcheck": False,
    "wraparound": False,
}

# Cython's warnings are errors in `make check`, but not in a build: a newer Cython may have new ones. Of -Wextra all
# but maybe_uninitialized, which takes every `&out` argument for a read; the C compiler's own knows better.
WARNINGS: dict[str, int | str] = {"warn.unused": True, "warn.unreachable": True}
STRICT_BUILDS = os.environ.get("CYTHON_WARNINGS") == "error"
# Set here because Python 3.14 translates in processes that import this file.
Options.warning_errors = STRICT_BUILDS or "translate" in sys.argv

COMPILE_ARGS = [
    # A CFLAGS in the environment takes the place of the interpreter's own flags, of which these two change the code:
    # without them the header files of Python check assertions, and an integer that overflows is undefined behaviour.
    "-DNDEBUG",
    "-fwrapv",
    "-O3",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    # Of these the generated code has many, all harmless.
    "-Wno-cast-function-type",
    "-Wno-missing-field-initializers",
    "-Wno-unused-function",
    "-Wno-unused-parameter",
]
LINK_ARGS: list[str] = []

if DEBUG:
    COMPILE_ARGS += ["-O1", "-g", "-UNDEBUG", "-DIANUS_DEBUG=1"]
else:
    # Calls of libpython without a jump through the linkage table: 1 % fewer instructions a request. Link-time
    # optimisation saves nothing, since each module is one C file.
    COMPILE_ARGS += ["-fno-plt"]
if ASAN:
    # Undefined behaviour traps, and AddressSanitizer reports the trap as it does its own findings. The other
    # sanitizer's library would print to standard error, which a test does not read.
    SANITIZE = [
        "-fsanitize=address,undefined",
        "-fsanitize-undefined-trap-on-error",
        "-fno-omit-frame-pointer",
    ]
    if FUZZ:
        # Coverage to guide the fuzzer; and clang's own check of function pointers, which Python's method tables
        # all fail: they hold functions of several types as one.
        SANITIZE += ["-fsanitize=fuzzer-no-link", "-fno-sanitize=function"]
    COMPILE_ARGS += SANITIZE
    LINK_ARGS += SANITIZE
if PROFILE:
    # Several threads count in the same places.
    PROFILE_ARGS = ["-fprofile-generate", "-fprofile-update=atomic"]
    COMPILE_ARGS += PROFILE_ARGS
    LINK_ARGS += PROFILE_ARGS

# Functions that did not run in the training are not optimised for size: they serve other requests.
PROFILED_ARGS = ["-fprofile-use", "-fprofile-partial-training", "-Wno-error=coverage-mismatch"]
# The records lie beside the object files. GCC finds those of a function only if the object file has the same path
# again, relative to the working copy or the unpacked source distribution.
RECORDS = "build/profile/objects"

SOURCES = Path()
if COVERAGE:
    # Cython's plugin for coverage.py looks for the source and the C file next to the compiled module. It cannot follow
    # events of sys.monitoring, which Cython would use from Python 3.13 on.
    SOURCES = Path("build/coverage")
    DIRECTIVES["linetrace"] = True
    COMPILE_ARGS += ["-DCYTHON_TRACE=1", "-DCYTHON_USE_SYS_MONITORING=0"]


def is_fake(name: str) -> bool:
    """Whether a module is only for the tests of others."""
    return name.rpartition(".")[2] in ("recording", "recording_exchange", "hpack_recording", "masking_filter")


class BuildExt(build_ext):
    """Translates the modules to C and compiles them."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if PROFILE or PROFILED:
            self.build_temp = RECORDS
        if not self.inplace and not DEBUG:
            # Users of a wheel do not need them.
            self.extensions = [extension for extension in self.extensions if not is_fake(extension.name)]

    def run(self) -> None:
        super().run()
        self.prune()

    def build_extensions(self) -> None:
        # Translated here and not on the way into setup(), so that a source distribution needs none of it. The
        # C files stay out of the source tree. All flavours share them; each Python has its own Cython.
        warnings = WARNINGS if STRICT_BUILDS else {}
        translated = translate(self.extensions, None if COVERAGE else TRANSLATED, DIRECTIVES | warnings)
        if COVERAGE:
            prepare_for_coverage(translated)
        for extension, module in zip(self.extensions, translated, strict=True):
            extension.sources, extension.depends = module.sources, module.depends
        super().build_extensions()

    def build_extension(self, extension: Extension) -> None:
        (source,) = extension.sources
        records = Path(RECORDS, source).with_suffix(".gcda")
        extension.extra_compile_args, extension.extra_link_args = COMPILE_ARGS, LINK_ARGS
        # A module that did not run in the training has none.
        if PROFILED and Path(PROFILED, records).exists():
            records.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(PROFILED, records), records)
            extension.extra_compile_args = COMPILE_ARGS + PROFILED_ARGS
        super().build_extension(extension)

    def prune(self) -> None:
        """Removes modules whose source is gone: they would stay importable."""
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        root = Path("." if self.inplace else self.build_lib)
        built = {root / (extension.name.replace(".", "/") + suffix) for extension in self.extensions}
        for module in (root / "ianus").rglob("*" + suffix):
            if module not in built:
                module.unlink()


class BuildPy(build_py):
    """Copies the Python files, and the documents that `ianus docs` shows."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # The working copy has them.
        for page in sorted(Path("docs").rglob("*.md")):
            copy = Path(self.build_lib, "ianus", page)
            copy.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(page), str(copy))


class Translate(Command):
    """Translates the modules to C, which `make check` does for the warnings."""

    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None:
        pass

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        translate(modules(), TRANSLATED if STRICT_BUILDS else "build/check", DIRECTIVES | WARNINGS)


def translate(extensions: list[Extension], build_dir: str | None, directives: dict[str, int | str]) -> list[Extension]:
    """Translates modules whose C file is older than the source or than a .pxd that the source depends on."""
    try:
        translated: list[Extension] = cythonize(
            extensions,
            build_dir=build_dir,
            include_path=[str(SOURCES)],
            nthreads=JOBS,
            compiler_directives=directives,
            # Debuggers and sanitizers name lines of the .pyx.
            emit_linenums=True,
        )
    except CompileError as error:
        raise SystemExit(f"error: {error} was not translated; see above") from None
    return translated


def prepare_for_coverage(translated: list[Extension]) -> None:
    """Changes the C files so that their lines can be traced and found.

    Cython 3.3 takes the GIL at the end of each function that runs without it, although such functions are not traced:
    threads that are joined with the GIL held would never end. It also makes a Python object of each result, which only
    a profiler looks at: of a pointer to characters, or a structure with one, it would read up to a NUL byte that is not
    there. And its plugin must not find a source in the working copy, which is the current folder of the tests, instead
    of the one that was compiled.
    """
    for module in translated:
        (source,) = module.sources
        path = Path(source)
        before = path.read_text()
        after = (
            before.replace("__Pyx_PyMonitoring_ExitScope(1);", "")
            .replace("= convert_function(cresult);", "= (Py_INCREF(Py_None), Py_None);")
            .replace('/* "ianus/', f'/* "{SOURCES / "ianus"}/')
        )
        if after != before:
            path.write_text(after)


def modules() -> list[Extension]:
    """One extension for each ``.pyx``, named after its path."""
    if os.environ.get("IANUS_COMPILE") == "0":
        return []
    return [
        Extension(
            ".".join(source.relative_to(SOURCES).with_suffix("").parts),
            [str(source)],
            # Headers are included by their path from here.
            include_dirs=["."],
            extra_compile_args=[] if PROFILE or PROFILED else COMPILE_ARGS,
            extra_link_args=[] if PROFILE or PROFILED else LINK_ARGS,
        )
        for source in sorted((SOURCES / "ianus").rglob("*.pyx"))
    ]


# The guard is for the processes that cythonize starts: if they are spawned, they import this file.
if __name__ == "__main__":
    setup(
        ext_modules=modules(),
        cmdclass={"build_ext": BuildExt, "build_py": BuildPy, "translate": Translate},
        options={"build_ext": {"parallel": str(JOBS)}},
    )
