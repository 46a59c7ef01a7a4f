#include "fuzz_slot.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

static unsigned char bytes[BYTES_MAX];

void check_pattern(const unsigned char *got, size_t length, enum side from, uint64_t offset)
{
	for (size_t index = 0; index < length; index++)
		CHECK_EQUAL(got[index], pattern(from, offset + index));
}

void slot_write(struct slot *slot, enum side side, size_t length)
{
	ssize_t sent;

	if (slot->peers[side] < 0 || slot->has_fin[side] || length == 0)
		return;
	for (size_t index = 0; index < length; index++)
		bytes[index] = pattern(side, slot->written[side] + index);
	sent = send(slot->peers[side], bytes, length, MSG_NOSIGNAL);
	if (sent > 0)
		slot->written[side] += (uint64_t)sent;
	else
		CHECK(errno == EAGAIN || slot->is_broken);
}

/* Whether the peer at this side has to get something, sooner or later, unless it has its FIN already. */
static bool is_due(const struct slot *slot, enum side side)
{
	enum side from = other(side);

	if (slot->phase != PHASE_OPEN || slot->is_broken)
		return false;
	if (side == SIDE_UPSTREAM && slot->head_left > 0)
		return true;
	return slot->arrived[from] < slot->written[from] || slot->has_fin[from];
}

bool slot_read(struct slot *slot, enum side side, size_t length)
{
	enum side from = other(side);
	size_t skipped;
	ssize_t got;

	if (slot->peers[side] < 0 || length == 0)
		return false;
	if (is_due(slot, side))
		await_input(slot->peers[side]);
	got = recv(slot->peers[side], bytes, length, 0);
	if (got < 0) {
		CHECK(errno == EAGAIN || slot->is_broken);
		return errno == EAGAIN;
	}
	CHECK(got > 0 || slot->is_broken || slot->phase == PHASE_RELEASED || slot->has_fin[from]);
	if (got == 0) {
		CHECK(slot->is_broken || slot->arrived[from] == slot->written[from]);
		return false;
	}
	skipped = side == SIDE_UPSTREAM ? slot->head_left : 0;
	if (skipped > (size_t)got)
		skipped = (size_t)got;
	if (side == SIDE_UPSTREAM)
		slot->head_left -= skipped;
	check_pattern(bytes + skipped, (size_t)got - skipped, from, slot->arrived[from]);
	slot->arrived[from] += (uint64_t)got - skipped;
	CHECK(slot->arrived[from] <= slot->written[from]);
	return true;
}

void slot_half_close(struct slot *slot, enum side side)
{
	if (slot->peers[side] < 0)
		return;
	(void)shutdown(slot->peers[side], SHUT_WR);
	slot->has_fin[side] = true;
}

void slot_leave(struct slot *slot, enum side side)
{
	if (slot->peers[side] < 0)
		return;
	(void)close(slot->peers[side]);
	slot->peers[side] = -1;
	slot->has_fin[side] = true;
	slot->is_broken = true;
}
