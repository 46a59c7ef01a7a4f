/*
 * Bytes in TLS 1.3 with one cipher suite, so that every gateway has the same cipher to compute. The certificate is not
 * checked: it was made for this run, and what a client computes is no part of what is measured.
 */
#include "../wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "../load.h"

static SSL_CTX *new_context(void) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) {
    die("OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
  }
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

void wire_open(struct wire *wire, int fd) {
  static SSL_CTX *context;
  if (context == NULL) context = new_context();
  SSL *session = SSL_new(context);
  if (session == NULL || SSL_set_fd(session, fd) != 1 || SSL_set_tlsext_host_name(session, "chat.example.com") != 1) {
    die("OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
  }
  SSL_set_connect_state(session);
  *wire = (struct wire){.fd = fd, .session = session};
}

/* What a call that gave no bytes has to answer: 0 at the end of the stream, -1 with errno otherwise. */
static ssize_t no_bytes(SSL *session, int result) {
  int system_error = errno;
  int error = SSL_get_error(session, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_SYSCALL && system_error != 0) {
    errno = system_error;
    return -1;
  }
  const char *why = ERR_reason_error_string(ERR_peek_error());
  die("TLS: %s", why == NULL ? "ended without a close_notify" : why);
}

ssize_t wire_send(struct wire *wire, const void *bytes, size_t length) {
  size_t sent;
  ERR_clear_error();
  errno = 0;
  int result = SSL_write_ex(wire->session, bytes, length, &sent);
  return result == 1 ? (ssize_t)sent : no_bytes(wire->session, result);
}

ssize_t wire_recv(struct wire *wire, void *bytes, size_t room) {
  size_t have = 0;
  /* One call gives one record at most. */
  while (have < room) {
    size_t got;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(wire->session, (char *)bytes + have, room - have, &got);
    if (result != 1) return have > 0 ? (ssize_t)have : no_bytes(wire->session, result);
    have += got;
  }
  return (ssize_t)have;
}

void wire_close(struct wire *wire) {
  SSL_free(wire->session);
  close(wire->fd);
}

void wire_reset(struct wire *wire) {
  SSL_free(wire->session);
  close_with_reset(wire->fd);
}
