"""The protocol of PEP 590: a call without a tuple of its arguments."""
from cpython.object cimport PyObject


cdef extern from *:
    """
    #define ianus_set_vectorcall(type, offset) do { \\
        ((PyTypeObject *)(type))->tp_vectorcall_offset = (offset); \\
        ((PyTypeObject *)(type))->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL; \\
    } while (0)
    #define ianus_tp_call(callable, args, kwargs) Py_TYPE(callable)->tp_call(callable, args, kwargs)
    """
    # offset: of the field with the function, in each object of the type
    void set_vectorcall "ianus_set_vectorcall"(object type, Py_ssize_t offset)
    Py_ssize_t PyVectorcall_NARGS(size_t count)
    object tp_call "ianus_tp_call"(object callable, tuple args, dict kwargs)


cdef inline object call_by_tuple(object callable, PyObject** arguments, Py_ssize_t count, PyObject* names):
    """Calls the method __call__() of an object with the arguments of its vectorcall function, which are borrowed."""
    cdef tuple args = tuple([<object>arguments[i] for i in range(count)])
    cdef dict kwargs = {}
    if names != NULL:
        for name in <tuple>names:
            # Their values follow those of the other arguments.
            kwargs[name] = <object>arguments[count]
            count += 1
    return tp_call(callable, args, kwargs)
