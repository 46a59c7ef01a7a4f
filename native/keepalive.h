/* TCP options of clients' and endpoints' sockets. */
#ifndef UPGATE_KEEPALIVE_H
#define UPGATE_KEEPALIVE_H

/* What is written goes out at once, and peers that vanished without a word are found. As node's own sockets have it. */
void set_tcp_options(int fd);

#endif
