/* What the tests of dials share. */
#ifndef UPGATE_DIALS_H
#define UPGATE_DIALS_H

#include "harness.h"

#define REQUEST "GET / HTTP/1.1\r\n\r\n"

struct tunnel *dial(struct rig *rig, const struct dial_request *endpoint, uint64_t connect_ms,
                    uint64_t handshake_ms);

/* A dial whose request an endpoint has. */
struct tunnel *dial_endpoint(struct rig *rig, enum transport transport, uint64_t handshake_ms,
                             int *endpoint);

/* Waits for a part of the answer: the text, or NULL for a FIN. */
void await_bytes(struct rig *rig, const struct tunnel *tunnel, const char *text);

void await_failure(struct rig *rig, enum dial_stage stage, bool timed_out, int error);

/* A listener whose queue is full, of one. */
int listen_in_vain(enum transport transport, struct dial_request *request, int *filler);

#endif
