"""The functions of the libssl and libcrypto that Python's own _ssl module is linked to.

They are found by dlsym() on the handle of that module. So a build needs no header of OpenSSL, and no second copy of it
is in the process. It is updated with Python. Its types are opaque, and each function has been there since 3.0.

The pointers belong to the module that uses this file, which calls borrow_openssl() when it is imported.
"""
from libc.stdint cimport uint16_t, uint64_t


cdef extern from *:
    """
    #include <dlfcn.h>
    #include <stddef.h>
    #include <stdint.h>

    typedef struct ssl_st SSL;
    typedef struct ssl_ctx_st SSL_CTX;
    typedef struct ssl_method_st SSL_METHOD;
    typedef struct ssl_cipher_st SSL_CIPHER;
    typedef struct bio_st BIO;
    typedef struct bio_method_st BIO_METHOD;
    typedef struct x509_st X509;
    typedef struct X509_crl_st X509_CRL;
    typedef struct X509_name_st X509_NAME;
    typedef struct x509_store_st X509_STORE;
    typedef struct stack_st OPENSSL_STACK;
    typedef struct evp_pkey_st EVP_PKEY;
    typedef struct evp_cipher_st EVP_CIPHER;
    typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
    typedef struct evp_mac_ctx_st EVP_MAC_CTX;
    typedef struct engine_st ENGINE;
    typedef struct ossl_param_st {
        const char *key;
        unsigned int data_type;
        void *data;
        size_t data_size;
        size_t return_size;
    } OSSL_PARAM;

    typedef int pem_password_cb(char *buffer, int size, int writes, void *argument);

    #define BORROWED(X) \
        X(unsigned long, OpenSSL_version_num, (void)) \
        X(const char *, OpenSSL_version, (int)) \
        X(unsigned long, ERR_peek_last_error, (void)) \
        X(const char *, ERR_reason_error_string, (unsigned long)) \
        X(void, ERR_clear_error, (void)) \
        X(const SSL_METHOD *, TLS_server_method, (void)) \
        X(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *)) \
        X(void, SSL_CTX_free, (SSL_CTX *)) \
        X(long, SSL_CTX_ctrl, (SSL_CTX *, int, long, void *)) \
        X(uint64_t, SSL_CTX_set_options, (SSL_CTX *, uint64_t)) \
        X(int, SSL_CTX_set_num_tickets, (SSL_CTX *, size_t)) \
        X(int, SSL_CTX_set_session_id_context, (SSL_CTX *, const unsigned char *, unsigned int)) \
        X(int, SSL_CTX_set_cipher_list, (SSL_CTX *, const char *)) \
        X(int, SSL_CTX_set_ciphersuites, (SSL_CTX *, const char *)) \
        X(void, SSL_CTX_set_cert_cb, (SSL_CTX *, int (*)(SSL *, void *), void *)) \
        X(void, SSL_CTX_set_client_hello_cb, (SSL_CTX *, int (*)(SSL *, int *, void *), void *)) \
        X(int, SSL_client_hello_get0_ext, (SSL *, unsigned int, const unsigned char **, size_t *)) \
        X(void, SSL_CTX_set_alpn_select_cb, (SSL_CTX *, \
            int (*)(SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *), \
        void *)) \
        X(int, SSL_CTX_set_tlsext_ticket_key_evp_cb, (SSL_CTX *, \
            int (*)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int))) \
        X(int, SSL_CTX_set_ex_data, (SSL_CTX *, int, void *)) \
        X(void *, SSL_CTX_get_ex_data, (const SSL_CTX *, int)) \
        X(void, SSL_CTX_set_verify, (SSL_CTX *, int, void *)) \
        X(void, SSL_set_verify, (SSL *, int, void *)) \
        X(OPENSSL_STACK *, SSL_load_client_CA_file, (const char *)) \
        X(void, SSL_CTX_set_client_CA_list, (SSL_CTX *, OPENSSL_STACK *)) \
        X(void, SSL_CTX_set_cert_store, (SSL_CTX *, X509_STORE *)) \
        X(X509_STORE *, X509_STORE_new, (void)) \
        X(void, X509_STORE_free, (X509_STORE *)) \
        X(int, X509_STORE_load_file, (X509_STORE *, const char *)) \
        X(int, X509_STORE_load_path, (X509_STORE *, const char *)) \
        X(int, X509_STORE_add_crl, (X509_STORE *, X509_CRL *)) \
        X(int, X509_STORE_set_flags, (X509_STORE *, unsigned long)) \
        X(int, SSL_CTX_use_cert_and_key, (SSL_CTX *, X509 *, EVP_PKEY *, OPENSSL_STACK *, int)) \
        X(int, SSL_use_cert_and_key, (SSL *, X509 *, EVP_PKEY *, OPENSSL_STACK *, int)) \
        X(SSL *, SSL_new, (SSL_CTX *)) \
        X(void, SSL_free, (SSL *)) \
        X(SSL_CTX *, SSL_get_SSL_CTX, (const SSL *)) \
        X(void, SSL_set_bio, (SSL *, BIO *, BIO *)) \
        X(void, SSL_set_accept_state, (SSL *)) \
        X(int, SSL_do_handshake, (SSL *)) \
        X(int, SSL_read, (SSL *, void *, int)) \
        X(int, SSL_write, (SSL *, const void *, int)) \
        X(int, SSL_pending, (const SSL *)) \
        X(int, SSL_want, (const SSL *)) \
        X(int, SSL_shutdown, (SSL *)) \
        X(int, SSL_get_shutdown, (const SSL *)) \
        X(int, SSL_version, (const SSL *)) \
        X(const char *, SSL_get_version, (const SSL *)) \
        X(int, SSL_session_reused, (const SSL *)) \
        X(const SSL_CIPHER *, SSL_get_current_cipher, (const SSL *)) \
        X(const SSL_CIPHER *, SSL_get_pending_cipher, (const SSL *)) \
        X(uint16_t, SSL_CIPHER_get_protocol_id, (const SSL_CIPHER *)) \
        X(int, SSL_CIPHER_is_aead, (const SSL_CIPHER *)) \
        X(const char *, SSL_CIPHER_get_name, (const SSL_CIPHER *)) \
        X(const char *, SSL_get_servername, (const SSL *, int)) \
        X(void, SSL_get0_alpn_selected, (const SSL *, const unsigned char **, unsigned int *)) \
        X(X509 *, SSL_get_certificate, (const SSL *)) \
        X(X509 *, SSL_get0_peer_certificate, (const SSL *)) \
        X(OPENSSL_STACK *, SSL_get_peer_cert_chain, (const SSL *)) \
        X(long, SSL_get_verify_result, (const SSL *)) \
        X(const char *, X509_verify_cert_error_string, (long)) \
        X(BIO *, BIO_new, (const BIO_METHOD *)) \
        X(BIO *, BIO_new_mem_buf, (const void *, int)) \
        X(int, BIO_free, (BIO *)) \
        X(int, BIO_up_ref, (BIO *)) \
        X(void, BIO_set_data, (BIO *, void *)) \
        X(void *, BIO_get_data, (BIO *)) \
        X(void, BIO_set_init, (BIO *, int)) \
        X(void, BIO_set_flags, (BIO *, int)) \
        X(BIO_METHOD *, BIO_meth_new, (int, const char *)) \
        X(void, BIO_meth_free, (BIO_METHOD *)) \
        X(int, BIO_meth_set_read_ex, (BIO_METHOD *, int (*)(BIO *, char *, size_t, size_t *))) \
        X(int, BIO_meth_set_write_ex, (BIO_METHOD *, int (*)(BIO *, const char *, size_t, size_t *))) \
        X(int, BIO_meth_set_ctrl, (BIO_METHOD *, long (*)(BIO *, int, long, void *))) \
        X(X509 *, PEM_read_bio_X509, (BIO *, X509 **, pem_password_cb *, void *)) \
        X(X509_CRL *, PEM_read_bio_X509_CRL, (BIO *, X509_CRL **, pem_password_cb *, void *)) \
        X(EVP_PKEY *, PEM_read_bio_PrivateKey, (BIO *, EVP_PKEY **, pem_password_cb *, void *)) \
        X(void, X509_free, (X509 *)) \
        X(void, X509_CRL_free, (X509_CRL *)) \
        X(void, EVP_PKEY_free, (EVP_PKEY *)) \
        X(int, i2d_X509, (const X509 *, unsigned char **)) \
        X(int, X509_check_private_key, (const X509 *, const EVP_PKEY *)) \
        X(OPENSSL_STACK *, OPENSSL_sk_new_null, (void)) \
        X(int, OPENSSL_sk_push, (OPENSSL_STACK *, const void *)) \
        X(int, OPENSSL_sk_num, (const OPENSSL_STACK *)) \
        X(void *, OPENSSL_sk_value, (const OPENSSL_STACK *, int)) \
        X(void, OPENSSL_sk_free, (OPENSSL_STACK *)) \
        X(int, RAND_bytes, (unsigned char *, int)) \
        X(const EVP_CIPHER *, EVP_aes_256_cbc, (void)) \
        X(int, EVP_EncryptInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, \
            const unsigned char *)) \
        X(int, EVP_DecryptInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, \
            const unsigned char *)) \
        X(int, EVP_MAC_CTX_set_params, (EVP_MAC_CTX *, const OSSL_PARAM *)) \
        X(OSSL_PARAM, OSSL_PARAM_construct_utf8_string, (const char *, char *, size_t)) \
        X(OSSL_PARAM, OSSL_PARAM_construct_octet_string, (const char *, void *, size_t)) \
        X(OSSL_PARAM, OSSL_PARAM_construct_end, (void))

    /* Pointers with the names of the functions: no header and no library declares them here. Written once, by
     * borrow_functions(), before any of them is called. */
    #define DECLARE(result, name, arguments) static result (*name) arguments;
    BORROWED(DECLARE)
    #undef DECLARE

    /* Takes the functions from a module that is loaded already. Returns NULL, or the name of one that it lacks. */
    static const char *borrow_functions(const char *module) {
        /* Never closed: Python does not unload its modules either. */
        void *handle = dlopen(module, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
        if (handle == NULL)
            return "dlopen";
    #define GET(result, name, arguments) \
        if ((name = (result (*) arguments)dlsym(handle, #name)) == NULL) \
            return #name;
        BORROWED(GET)
    #undef GET
        return NULL;
    }
    """
    ctypedef struct SSL:
        pass
    ctypedef struct SSL_CTX:
        pass
    ctypedef struct SSL_METHOD:
        pass
    ctypedef struct SSL_CIPHER:
        pass
    ctypedef struct BIO:
        pass
    ctypedef struct BIO_METHOD:
        pass
    ctypedef struct X509:
        pass
    ctypedef struct X509_CRL:
        pass
    ctypedef struct X509_STORE:
        pass
    ctypedef struct OPENSSL_STACK:
        pass
    ctypedef struct EVP_PKEY:
        pass
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct EVP_MAC_CTX:
        pass
    ctypedef struct ENGINE:
        pass
    ctypedef struct OSSL_PARAM:
        pass

    const char* borrow_functions(const char* module) noexcept

    unsigned long OpenSSL_version_num() noexcept
    const char* OpenSSL_version(int) noexcept
    unsigned long ERR_peek_last_error() noexcept
    const char* ERR_reason_error_string(unsigned long) noexcept
    void ERR_clear_error() noexcept
    const SSL_METHOD* TLS_server_method() noexcept
    SSL_CTX* SSL_CTX_new(const SSL_METHOD*) noexcept
    void SSL_CTX_free(SSL_CTX*) noexcept
    long SSL_CTX_ctrl(SSL_CTX*, int, long, void*) noexcept
    uint64_t SSL_CTX_set_options(SSL_CTX*, uint64_t) noexcept
    int SSL_CTX_set_num_tickets(SSL_CTX*, size_t) noexcept
    int SSL_CTX_set_session_id_context(SSL_CTX*, const unsigned char*, unsigned int) noexcept
    int SSL_CTX_set_cipher_list(SSL_CTX*, const char*) noexcept
    int SSL_CTX_set_ciphersuites(SSL_CTX*, const char*) noexcept
    void SSL_CTX_set_cert_cb(SSL_CTX*, int (*)(SSL*, void*) noexcept, void*) noexcept
    void SSL_CTX_set_client_hello_cb(SSL_CTX*, int (*)(SSL*, int*, void*) noexcept, void*) noexcept
    int SSL_client_hello_get0_ext(SSL*, unsigned int, const unsigned char**, size_t*) noexcept
    void SSL_CTX_set_alpn_select_cb(
        SSL_CTX*,
        int (*)(SSL*, const unsigned char**, unsigned char*, const unsigned char*, unsigned int, void*) noexcept,
        void*
    ) noexcept
    int SSL_CTX_set_tlsext_ticket_key_evp_cb(
        SSL_CTX*, int (*)(SSL*, unsigned char*, unsigned char*, EVP_CIPHER_CTX*, EVP_MAC_CTX*, int) noexcept
    ) noexcept
    int SSL_CTX_set_ex_data(SSL_CTX*, int, void*) noexcept
    void* SSL_CTX_get_ex_data(const SSL_CTX*, int) noexcept
    void SSL_CTX_set_verify(SSL_CTX*, int, void*) noexcept
    void SSL_set_verify(SSL*, int, void*) noexcept
    OPENSSL_STACK* SSL_load_client_CA_file(const char*) noexcept
    void SSL_CTX_set_client_CA_list(SSL_CTX*, OPENSSL_STACK*) noexcept
    void SSL_CTX_set_cert_store(SSL_CTX*, X509_STORE*) noexcept
    X509_STORE* X509_STORE_new() noexcept
    void X509_STORE_free(X509_STORE*) noexcept
    int X509_STORE_load_file(X509_STORE*, const char*) noexcept
    int X509_STORE_load_path(X509_STORE*, const char*) noexcept
    int X509_STORE_add_crl(X509_STORE*, X509_CRL*) noexcept
    int X509_STORE_set_flags(X509_STORE*, unsigned long) noexcept
    int SSL_CTX_use_cert_and_key(SSL_CTX*, X509*, EVP_PKEY*, OPENSSL_STACK*, int) noexcept
    int SSL_use_cert_and_key(SSL*, X509*, EVP_PKEY*, OPENSSL_STACK*, int) noexcept
    SSL* SSL_new(SSL_CTX*) noexcept
    void SSL_free(SSL*) noexcept
    SSL_CTX* SSL_get_SSL_CTX(const SSL*) noexcept
    void SSL_set_bio(SSL*, BIO*, BIO*) noexcept
    void SSL_set_accept_state(SSL*) noexcept
    int SSL_do_handshake(SSL*) noexcept
    int SSL_read(SSL*, void*, int) noexcept
    int SSL_write(SSL*, const void*, int) noexcept
    int SSL_pending(const SSL*) noexcept
    int SSL_want(const SSL*) noexcept
    int SSL_shutdown(SSL*) noexcept
    int SSL_get_shutdown(const SSL*) noexcept
    int SSL_version(const SSL*) noexcept
    const char* SSL_get_version(const SSL*) noexcept
    int SSL_session_reused(const SSL*) noexcept
    const SSL_CIPHER* SSL_get_current_cipher(const SSL*) noexcept
    const SSL_CIPHER* SSL_get_pending_cipher(const SSL*) noexcept
    uint16_t SSL_CIPHER_get_protocol_id(const SSL_CIPHER*) noexcept
    int SSL_CIPHER_is_aead(const SSL_CIPHER*) noexcept
    const char* SSL_CIPHER_get_name(const SSL_CIPHER*) noexcept
    const char* SSL_get_servername(const SSL*, int) noexcept
    void SSL_get0_alpn_selected(const SSL*, const unsigned char**, unsigned int*) noexcept
    X509* SSL_get_certificate(const SSL*) noexcept
    X509* SSL_get0_peer_certificate(const SSL*) noexcept
    OPENSSL_STACK* SSL_get_peer_cert_chain(const SSL*) noexcept
    long SSL_get_verify_result(const SSL*) noexcept
    const char* X509_verify_cert_error_string(long) noexcept
    BIO* BIO_new(const BIO_METHOD*) noexcept
    BIO* BIO_new_mem_buf(const void*, int) noexcept
    int BIO_free(BIO*) noexcept
    int BIO_up_ref(BIO*) noexcept
    void BIO_set_data(BIO*, void*) noexcept
    void* BIO_get_data(BIO*) noexcept
    void BIO_set_init(BIO*, int) noexcept
    void BIO_set_flags(BIO*, int) noexcept
    BIO_METHOD* BIO_meth_new(int, const char*) noexcept
    void BIO_meth_free(BIO_METHOD*) noexcept
    int BIO_meth_set_read_ex(BIO_METHOD*, int (*)(BIO*, char*, size_t, size_t*) noexcept) noexcept
    int BIO_meth_set_write_ex(BIO_METHOD*, int (*)(BIO*, const char*, size_t, size_t*) noexcept) noexcept
    int BIO_meth_set_ctrl(BIO_METHOD*, long (*)(BIO*, int, long, void*) noexcept) noexcept
    X509* PEM_read_bio_X509(BIO*, X509**, int (*)(char*, int, int, void*) noexcept, void*) noexcept
    X509_CRL* PEM_read_bio_X509_CRL(BIO*, X509_CRL**, int (*)(char*, int, int, void*) noexcept, void*) noexcept
    EVP_PKEY* PEM_read_bio_PrivateKey(BIO*, EVP_PKEY**, int (*)(char*, int, int, void*) noexcept, void*) noexcept
    void X509_free(X509*) noexcept
    void X509_CRL_free(X509_CRL*) noexcept
    void EVP_PKEY_free(EVP_PKEY*) noexcept
    int i2d_X509(const X509*, unsigned char**) noexcept
    int X509_check_private_key(const X509*, const EVP_PKEY*) noexcept
    OPENSSL_STACK* OPENSSL_sk_new_null() noexcept
    int OPENSSL_sk_push(OPENSSL_STACK*, const void*) noexcept
    int OPENSSL_sk_num(const OPENSSL_STACK*) noexcept
    void* OPENSSL_sk_value(const OPENSSL_STACK*, int) noexcept
    void OPENSSL_sk_free(OPENSSL_STACK*) noexcept
    int RAND_bytes(unsigned char*, int) noexcept
    const EVP_CIPHER* EVP_aes_256_cbc() noexcept
    int EVP_EncryptInit_ex(
        EVP_CIPHER_CTX*, const EVP_CIPHER*, ENGINE*, const unsigned char*, const unsigned char*
    ) noexcept
    int EVP_DecryptInit_ex(
        EVP_CIPHER_CTX*, const EVP_CIPHER*, ENGINE*, const unsigned char*, const unsigned char*
    ) noexcept
    int EVP_MAC_CTX_set_params(EVP_MAC_CTX*, const OSSL_PARAM*) noexcept
    OSSL_PARAM OSSL_PARAM_construct_utf8_string(const char*, char*, size_t) noexcept
    OSSL_PARAM OSSL_PARAM_construct_octet_string(const char*, void*, size_t) noexcept
    OSSL_PARAM OSSL_PARAM_construct_end() noexcept


cdef enum:
    # The range of versions with the binary interface that the callers use
    MIN_VERSION = 0x30000000
    LATER_VERSION = 0x40000000
    OPENSSL_VERSION_TEXT = 0


cdef inline str borrow_openssl():
    """Takes the functions for the calling module. Returns None, or the reason why this Python has no OpenSSL to use."""
    import _ssl

    cdef const char* missing
    path = getattr(_ssl, "__file__", None)
    if path is None:
        return "the module _ssl of this Python is linked statically"
    missing = borrow_functions(path.encode())
    if missing != NULL:
        return f"the TLS library of this Python has no function {missing.decode()}"
    if not MIN_VERSION <= OpenSSL_version_num() < LATER_VERSION:
        return f"{OpenSSL_version(OPENSSL_VERSION_TEXT).decode()} is not OpenSSL 3"
    return None
