/* Bytes as they are: the socket's own calls. */
#include "../wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../load.h"

void wire_open(struct wire *wire, int fd) { *wire = (struct wire){.fd = fd}; }

ssize_t wire_send(struct wire *wire, const void *bytes, size_t length) {
  ssize_t sent = send(wire->fd, bytes, length, MSG_NOSIGNAL);
  if (sent < 0 && errno == ENOTCONN) errno = EAGAIN;
  return sent;
}

/* A short read has emptied the socket: epoll(7). */
ssize_t wire_recv(struct wire *wire, void *bytes, size_t room) { return recv(wire->fd, bytes, room, 0); }

void wire_close(struct wire *wire) { close(wire->fd); }

void wire_reset(struct wire *wire) { close_with_reset(wire->fd); }
