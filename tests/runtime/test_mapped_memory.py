"""Memory that several parts write to: it stays mapped as long as they live, and not longer."""

import gc
import mmap
from pathlib import Path

import pytest

import ianus
from ianus.runtime.mapped_memory import MappedMemory

# The sources are beside the compiled modules.
PACKAGE = Path(ianus.__file__).parent


def test_memory_cannot_be_unmapped_while_it_is_used() -> None:
    mapped = mmap.mmap(-1, 4)
    memory = MappedMemory(mapped)
    with pytest.raises(BufferError):
        mapped.close()
    del memory
    mapped.close()


def test_memory_is_released_with_a_cycle_of_objects() -> None:
    """Garbage collection clears the members of each object of a cycle before it frees the object."""
    mapped = mmap.mmap(-1, 4)
    cycle: list[object] = [MappedMemory(memoryview(mapped))]
    cycle.append(cycle)
    del cycle
    gc.collect()
    mapped.close()


def test_no_other_class_has_a_buffer() -> None:
    """Cython clears `Py_buffer.obj` of a class that takes part in garbage collection, and so the buffer is never
    released."""
    sources = [path for path in PACKAGE.rglob("*.p[xy][xd]") if "Py_buffer" in path.read_text()]
    assert [path.relative_to(PACKAGE).as_posix() for path in sources] == ["runtime/mapped_memory.pxd"]
