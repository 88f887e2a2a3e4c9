// Apache-2.0. What the Swift importer cannot see of OpenSSL: macros and variadics, as inline functions.
#pragma once
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// A fresh P-256 key; NULL on failure.
static inline EVP_PKEY *samara_generate_p256(void) { return EVP_EC_gen("P-256"); }

// TLS 1.3 only, no tickets, no session cache, no automatic chain, buffers released when idle,
// X25519 and P-256 ECDSA alone. 1 on success.
static inline int samara_tls_harden(SSL_CTX *context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                                | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // One record a call: else a peer could keep a thread in SSL_read with records that carry nothing.
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_max_cert_list(context, 4096);
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION)
      && SSL_CTX_set_num_tickets(context, 0)
      && SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256")
      && SSL_CTX_set1_groups_list(context, "X25519")
      && SSL_CTX_set1_sigalgs_list(context, "ECDSA+SHA256");
}

// Bytes that a socket BIO has carried, records and all.
static inline uint64_t samara_bytes_read(SSL *session) { return BIO_number_read(SSL_get_rbio(session)); }
static inline uint64_t samara_bytes_written(SSL *session) {
  return BIO_number_written(SSL_get_wbio(session));
}

// The bytes of a memory BIO, owned by it.
static inline long samara_memory_bytes(BIO *memory, char **bytes) {
  return BIO_get_mem_data(memory, bytes);
}
