"""A filter for tests: records of a length in two bytes, followed by that number of masked bytes.

A record of the length 0 is the end of the peer's bytes. The length ANSWER_REQUEST has no bytes: the filter answers with
a record of MAX_RECORD_BYTES. Any other that is longer is an error.
"""
from ianus.acceptor.byte_filter cimport ENCODE_BYTES, FILTER_FAILED, ByteFilter, ByteFilterFactory, append_encoded
from ianus.codec.output cimport iovec


cdef enum:
    MAX_RECORD_BYTES = 1000
    MASK = 0x5A
    ANSWER_REQUEST = 0xFFFF


cdef bytes ANSWER = bytes(MAX_RECORD_BYTES)


cdef class MaskingFilterFactory(ByteFilterFactory):
    cdef ByteFilter create(self):
        cdef MaskingFilter created = MaskingFilter.__new__(MaskingFilter)
        created.factory = self
        created.max_kept_bytes = MAX_RECORD_BYTES
        return created


cdef class MaskingFilter(ByteFilter):
    cdef unsigned char kept[MAX_RECORD_BYTES + 2]
    cdef Py_ssize_t kept_size       # of the first part of a record

    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3:
        cdef Py_ssize_t index, decoded = 0, length
        for index in range(size):
            self.kept[self.kept_size] = <unsigned char>data[index]
            self.kept_size += 1
            if self.kept_size < 2:
                continue
            length = self.kept[0] << 8 | self.kept[1]
            if length == ANSWER_REQUEST:
                self.kept_size = 0
                self.encode_piece(ANSWER, MAX_RECORD_BYTES)
                continue
            if length > MAX_RECORD_BYTES:
                return FILTER_FAILED
            if length == 0:
                self.ended = True
                return decoded
            if self.kept_size == length + 2:
                assert decoded + length <= space
                self.mask(self.kept + 2, <unsigned char*>target + decoded, length)
                decoded += length
                self.kept_size = 0
        return decoded

    cdef Py_ssize_t encode(self, const iovec* pieces, int count) except -1:
        cdef Py_ssize_t total = 0, size
        cdef int index
        for index in range(count):
            size = min(<Py_ssize_t>pieces[index].iov_len, ENCODE_BYTES - total)
            self.encode_piece(<const char*>pieces[index].iov_base, size)
            total += size
        return total

    cdef int encode_piece(self, const char* data, Py_ssize_t size) except -1:
        cdef unsigned char record[MAX_RECORD_BYTES + 2]
        cdef Py_ssize_t part
        while size:
            part = min(size, <Py_ssize_t>MAX_RECORD_BYTES)
            record[0] = <unsigned char>(part >> 8)
            record[1] = <unsigned char>(part & 0xFF)
            self.mask(<const unsigned char*>data, record + 2, part)
            self.append(<const char*>record, part + 2)
            data += part
            size -= part
        return 0

    cdef int encode_end(self) except -1:
        return self.append(b"\0\0", 2)

    cdef int append(self, const char* data, Py_ssize_t size) except -1:
        if append_encoded(&self.factory.encoded, data, size) < 0:
            raise MemoryError
        return 0

    cdef int mask(self, const unsigned char* data, unsigned char* target, Py_ssize_t size) noexcept:
        cdef Py_ssize_t index
        for index in range(size):
            target[index] = data[index] ^ MASK
        return 0
