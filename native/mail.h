/* The thread's side of its mail; worker.h has the others'. */
#ifndef UPGATE_MAIL_H
#define UPGATE_MAIL_H

#include "worker.h"

/* Does all that was asked for. Returns false when the thread is to end. */
bool mail_take(struct worker *worker);

#endif
