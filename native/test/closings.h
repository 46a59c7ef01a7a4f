/* What the tests of closing share: tunnels of WebSockets, drained, and peers that agree. */
#ifndef UPGATE_CLOSINGS_H
#define UPGATE_CLOSINGS_H

#include "made_frames.h"

#define REASON_DRAIN REASON_CALLER

/* With which `drain` closes. */
extern const struct close_words closing_words;

/* Follows frames, and has words for each limit. */
struct relay_policy frames_policy(void);
struct joint join_frames(struct rig *rig, enum transport transport);

void drain(const struct joint *joint, uint64_t timeout_ms);
/* Waits for that end, and closes the peers. */
void end_as_drained(struct rig *rig, const struct joint *joint, enum ended_by close_by,
                    uint16_t code);

/* Is told, says the same, gets the FIN. */
void agree(const struct joint *joint, enum side side);
/* What one side sends has come. */
void pass(const struct joint *joint, enum side from, const struct bytes *bytes);

#endif
