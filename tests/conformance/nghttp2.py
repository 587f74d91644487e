"""HPACK as nghttp2 has it, by the functions of its library that its tools `inflatehd` and `deflatehd` call."""

import ctypes
import weakref
from collections.abc import Iterable, Sequence

Field = tuple[bytes, bytes]

# Flags of nghttp2_hd_inflate_hd2
FINAL, EMIT = 1, 2


class NameValue(ctypes.Structure):
    """nghttp2_nv."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("name_length", ctypes.c_size_t),
        ("value_length", ctypes.c_size_t),
        ("flags", ctypes.c_uint8),
    )

    def field(self) -> Field:
        return ctypes.string_at(self.name, self.name_length), ctypes.string_at(self.value, self.value_length)


def load() -> ctypes.CDLL:
    """Loads the library. Raises OSError if it is not installed."""
    library = ctypes.CDLL("libnghttp2.so.14")
    library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
    pointers = (ctypes.c_void_p,) * 4
    library.nghttp2_hd_inflate_hd2.argtypes = (*pointers, ctypes.c_size_t, ctypes.c_int)
    library.nghttp2_hd_deflate_hd.restype = ctypes.c_ssize_t
    library.nghttp2_hd_deflate_bound.restype = ctypes.c_size_t
    library.nghttp2_hd_inflate_get_num_table_entries.restype = ctypes.c_size_t
    library.nghttp2_hd_inflate_get_dynamic_table_size.restype = ctypes.c_size_t
    library.nghttp2_hd_inflate_get_table_entry.restype = ctypes.POINTER(NameValue)
    return library


class Inflater:
    """Decodes the field blocks of one connection."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._object = ctypes.c_void_p()
        assert library.nghttp2_hd_inflate_new(ctypes.byref(self._object)) == 0
        weakref.finalize(self, library.nghttp2_hd_inflate_del, self._object)

    def decode(self, block: bytes, piece: int = 0) -> list[Field] | None:
        """Returns the fields of a block, or None for an error. piece: bytes that it gets at once, 0 for all."""
        buffer = ctypes.create_string_buffer(block, len(block))
        start, size = ctypes.addressof(buffer), len(block)
        fields: list[Field] = []
        for at in range(0, size, piece or max(size, 1)):
            end = min(at + piece, size) if piece else size
            if not self._feed(start + at, start + end, end == size, fields):
                return None
        self._library.nghttp2_hd_inflate_end_headers(self._object)
        return fields

    def _feed(self, at: int, end: int, is_final: bool, fields: list[Field]) -> bool:
        found, flags = NameValue(), ctypes.c_int()
        found_pointer, flags_pointer = ctypes.byref(found), ctypes.byref(flags)
        while True:
            used = self._library.nghttp2_hd_inflate_hd2(
                self._object, found_pointer, flags_pointer, at, end - at, is_final
            )
            if used < 0:
                return False
            at += used
            if flags.value & EMIT:
                fields.append(found.field())
            elif flags.value & FINAL or at == end:
                return True

    def table(self) -> list[Field]:
        """Returns the entries of the dynamic table, the latest one first."""
        # Those of the static table (RFC 7541 appendix A) precede them.
        number = self._library.nghttp2_hd_inflate_get_num_table_entries(self._object)
        entry = self._library.nghttp2_hd_inflate_get_table_entry
        return [entry(self._object, ctypes.c_size_t(index)).contents.field() for index in range(62, number + 1)]


class Deflater:
    """Encodes the field blocks of one connection."""

    def __init__(self, library: ctypes.CDLL, table_size: int = 4096) -> None:
        self._library = library
        self._object = ctypes.c_void_p()
        assert library.nghttp2_hd_deflate_new(ctypes.byref(self._object), ctypes.c_size_t(table_size)) == 0
        weakref.finalize(self, library.nghttp2_hd_deflate_del, self._object)

    def set_table_size(self, size: int) -> None:
        assert self._library.nghttp2_hd_deflate_change_table_size(self._object, ctypes.c_size_t(size)) == 0

    def encode(self, fields: Sequence[Field]) -> bytes:
        buffers = [(ctypes.create_string_buffer(each[0]), ctypes.create_string_buffer(each[1])) for each in fields]
        values = (NameValue * len(fields))(*entries(fields, buffers))
        count = ctypes.c_size_t(len(fields))
        room = self._library.nghttp2_hd_deflate_bound(self._object, values, count)
        output = ctypes.create_string_buffer(room)
        size = self._library.nghttp2_hd_deflate_hd(self._object, output, ctypes.c_size_t(room), values, count)
        assert size >= 0
        return output.raw[:size]


def entries(fields: Sequence[Field], buffers: Iterable[tuple[ctypes.Array[ctypes.c_char], ...]]) -> list[NameValue]:
    return [
        NameValue(ctypes.addressof(name), ctypes.addressof(value), len(field[0]), len(field[1]), 0)
        for field, (name, value) in zip(fields, buffers, strict=True)
    ]
