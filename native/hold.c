#include "hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct hold *hold_new(size_t length)
{
	struct hold *hold = malloc(sizeof *hold + length);

	if (hold == NULL)
		return NULL;
	hold->begin = 0;
	hold->end = length;
	return hold;
}

void hold_free(struct hold *hold)
{
	free(hold);
}

size_t hold_length(const struct hold *hold)
{
	return hold == NULL ? 0 : hold->end - hold->begin;
}

bool hold_append(struct hold **held, const void *bytes, size_t length)
{
	struct hold *before = *held;
	size_t kept = hold_length(before);
	struct hold *hold = hold_new(kept + length);

	if (hold == NULL)
		return false;
	if (kept > 0)
		memcpy(hold->bytes, before->bytes + before->begin, kept);
	memcpy(hold->bytes + kept, bytes, length);
	hold_free(before);
	*held = hold;
	return true;
}

enum flushed hold_flush(struct hold **held, int fd)
{
	struct hold *hold = *held;

	while (hold->begin < hold->end) {
		ssize_t sent = send_some(fd, hold->bytes + hold->begin, hold->end - hold->begin);

		if (sent < 0)
			return errno == EAGAIN ? FLUSHED_PART : FLUSH_FAILED;
		hold->begin += (size_t)sent;
	}
	hold_free(hold);
	*held = NULL;
	return FLUSHED_ALL;
}

/*
 * Without libc's own functions: they are cancellation points, which costs two atomic operations a call where there are
 * several threads, 0.5 % of a small message.
 */
ssize_t send_some(int fd, const void *bytes, size_t length)
{
	ssize_t sent;

	do {
		sent = syscall(SYS_sendto, fd, bytes, length, MSG_NOSIGNAL, NULL, 0);
	} while (sent < 0 && errno == EINTR);
	return sent;
}

ssize_t recv_some(int fd, void *bytes, size_t length)
{
	ssize_t got;

	do {
		got = syscall(SYS_recvfrom, fd, bytes, length, 0, NULL, NULL);
	} while (got < 0 && errno == EINTR);
	return got;
}
