"""The memory of freed objects, kept for the next ones of their type: half the instructions of Python's allocator.

`@cython.freelist` does the same for types without a base class. The GIL guards the pool. Builds under AddressSanitizer
are without the pool, which would hide each use of a freed object.
"""


cdef extern from *:
    """
    #ifndef __has_feature
    #define __has_feature(name) 0
    #endif
    #if CYTHON_USE_FREELISTS && !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
    enum { IANUS_POOLED_OBJECTS = 64 };  /* memory of as many is kept; more is given back to the allocator */

    /* Of one type in each module. It owns its memory, in which there is no object. */
    static struct {
        PyTypeObject *type;
        int count;
        void *memory[IANUS_POOLED_OBJECTS];
    } ianus_pool;

    /* Subclasses inherit both functions, and are larger. */
    static PyObject *ianus_allocate_pooled(PyTypeObject *type, Py_ssize_t items) {
        void *memory;
        if (type != ianus_pool.type || ianus_pool.count == 0)
            return PyType_GenericAlloc(type, items);
        memory = ianus_pool.memory[--ianus_pool.count];
        memset(memory, 0, (size_t)type->tp_basicsize);
        return PyObject_Init((PyObject *)memory, type);
    }
    static void ianus_free_pooled(void *memory) {
        if (Py_TYPE((PyObject *)memory) == ianus_pool.type && ianus_pool.count < IANUS_POOLED_OBJECTS)
            ianus_pool.memory[ianus_pool.count++] = memory;
        else
            PyObject_Free(memory);
    }
    #define ianus_pool_objects(pooled) do { \\
        ianus_pool.type = (PyTypeObject *)(pooled); \\
        ianus_pool.type->tp_alloc = ianus_allocate_pooled; \\
        ianus_pool.type->tp_free = ianus_free_pooled; \\
    } while (0)
    #else
    #define ianus_pool_objects(pooled) do { } while (0)
    #endif
    """
    # pooled: a class of fixed size without garbage collection, the only one of the calling module
    void pool_objects "ianus_pool_objects"(object pooled)
