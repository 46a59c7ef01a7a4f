/* The numbers of a tunnel, as its thread leaves them for whoever asks. */

#include "worker.h"

static void read_end(const struct end *end, uint64_t at_ms, enum side side, struct reading *reading)
{
	uint64_t heard_at_ms = atomic_load_explicit(&end->heard_at_ms, memory_order_relaxed);
	uint32_t first_ms = atomic_load_explicit(&end->first_ms, memory_order_relaxed);

	reading->read_bytes[side] = atomic_load_explicit(&end->read_bytes, memory_order_relaxed);
	reading->first_ms[side] = first_ms == 0 ? NEVER_MS : first_ms - 1;
	reading->silent_ms[side] = at_ms > heard_at_ms ? at_ms - heard_at_ms : 0;
}

void tunnel_read(const struct tunnel *tunnel, uint64_t at_ms, struct reading *reading)
{
	uint32_t seen = atomic_load_explicit(&tunnel->seen_close, memory_order_relaxed);

	*reading = (struct reading){0};
	for (unsigned side = 0; side < SIDES; side++) {
		read_end(&tunnel->ends[side], at_ms, (enum side)side, reading);
		frames_count(&tunnel->frames[side], &reading->counts[side]);
	}
	reading->close_by = (enum ended_by)(seen >> CLOSE_BY_SHIFT);
	reading->close_code = (uint16_t)seen;
}

void relay_read(const struct tunnel *tunnel, struct reading *reading)
{
	tunnel_read(tunnel, clock_ms(), reading);
}

uint64_t tunnel_bytes(const struct tunnel *tunnel, enum side side)
{
	return atomic_load_explicit(&tunnel->ends[side].read_bytes, memory_order_relaxed);
}
