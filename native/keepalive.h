/* TCP options of clients' and endpoints' sockets. */
#ifndef UPGATE_KEEPALIVE_H
#define UPGATE_KEEPALIVE_H

#include <stdint.h>

/* What is written goes out at once, and peers that vanished without a word are found. As node's own sockets have it. */
void set_tcp_options(int fd);

/*
 * Finds a peer that vanished within both times: the silence until the first probe, and from there until the connection is
 * broken. The kernel counts probes in whole seconds. Without effect on a unix socket.
 */
void set_keepalive(int fd, uint64_t silence_ms, uint64_t timeout_ms);

#endif
