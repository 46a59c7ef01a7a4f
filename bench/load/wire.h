/*
 * The bytes of one client connection, as they are (plain/wire.c) or in TLS (tls/wire.c): every program is linked with
 * one of the two. The socket is non-blocking and watched for edges.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <sys/types.h>

struct wire {
  int fd;
  void *session; /* of TLS */
};

/* Takes a socket that is connected or about to be. */
void wire_open(struct wire *wire, int fd);
/* As send(2): -1 with EAGAIN also while the connection or its TLS handshake is under way. */
ssize_t wire_send(struct wire *wire, const void *bytes, size_t length);
/* As recv(2); fewer bytes than there is room for say that there are no more, so that the next edge will be seen. */
ssize_t wire_recv(struct wire *wire, void *bytes, size_t room);
void wire_close(struct wire *wire);
/* Closes by RST. */
void wire_reset(struct wire *wire);

#endif
