/* Bytes on their way to a peer that does not take them yet. */
#ifndef UPGATE_HOLD_H
#define UPGATE_HOLD_H

#include "relay.h"

enum flushed { FLUSHED_ALL, FLUSHED_PART, FLUSH_FAILED };

/* Sends what the socket takes. Frees the hold and clears the pointer when nothing is left; errno says what failed. */
enum flushed hold_flush(struct hold **hold, int fd);

/* Puts bytes behind what is held, or begins a hold for NULL. False without memory: all is as it was. */
bool hold_append(struct hold **hold, const void *bytes, size_t length);

/* How much is held; 0 for NULL. */
size_t hold_length(const struct hold *hold);

/* send(2) without SIGPIPE and without EINTR. */
ssize_t send_some(int fd, const void *bytes, size_t length);

/* recv(2) without EINTR. */
ssize_t recv_some(int fd, void *bytes, size_t length);

#endif
