/* How WebSockets are closed whose peers do not do their part: the one that does is told, and nobody is waited for in vain. */
#include "closings.h"
#include "stream.h"

#define BUFFER_BYTES 65536

static struct rig rig;

static void a_source_that_ends_within_a_frame_ends_the_wait(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side from = 0; from < SIDES; from++) {
		struct joint joint = join_frames(&rig, TCP);
		struct bytes frame = {0};

		add_text(&frame, from, FIN | BINARY, "without an end");
		frame.length -= 3;
		pass(&joint, from, &frame);
		drain(&joint, NO_LIMIT);
		expect_close(joint.peers[from], from, closing_words.code, "soon");
		send_fin(joint.peers[from]);
		expect_fin(joint.peers[from]);
		expect_fin(joint.peers[other(from)]);
		send_fin(joint.peers[other(from)]);
		end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
		bytes_free(&frame);
	}
	rig_stop(&rig);
}

static void a_blind_direction_ends_with_a_fin(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side from = 0; from < SIDES; from++) {
		for (unsigned is_before = 0; is_before < 2; is_before++) {
			struct joint joint = join_frames(&rig, TCP);
			struct bytes frame = {0};

			if (is_before)
				add_text(&frame, from, FIN | CONTINUATION, "of nothing");
			else
				add_text(&frame, from, FIN | TEXT, "has begun");
			frame.length--;
			pass(&joint, from, &frame);
			frame.length++;
			drain(&joint, NO_LIMIT);
			if (is_before) {
				expect_fin(joint.peers[other(from)]);
			} else {
				/* It goes blind while the Close frame waits, which is the end all the same. */
				frame.at += frame.length - 1;
				frame.room = frame.length - 1;
				frame.length = 1;
				put_bytes(joint.peers[from], &frame);
				expect_bytes(joint.peers[other(from)], &frame);
				frame.at -= frame.room;
				agree(&joint, other(from));
			}
			expect_close(joint.peers[from], from, closing_words.code, "soon");
			send_fin(joint.peers[from]);
			expect_fin(joint.peers[from]);
			if (is_before)
				send_fin(joint.peers[other(from)]);
			end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
			bytes_free(&frame);
		}
	}
	rig_stop(&rig);
}

static void who_does_not_answer_is_reset(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side deaf = 0; deaf < SIDES; deaf++) {
		struct joint joint = join_frames(&rig, TCP);

		drain(&joint, 50);
		agree(&joint, other(deaf));
		expect_close(joint.peers[deaf], deaf, closing_words.code, "soon");
		expect_reset(joint.peers[deaf]);
		end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
	}
	rig_stop(&rig);
}

static void a_frame_without_end_is_waited_for_no_longer(void)
{
	struct joint joint;
	struct bytes frame = {0};

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_frames(&rig, TCP);
	add_text(&frame, SIDE_UPSTREAM, FIN | TEXT, "without end");
	frame.length--;
	pass(&joint, SIDE_UPSTREAM, &frame);
	drain(&joint, 50);
	expect_close(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, closing_words.code, "soon");
	expect_reset(joint.peers[SIDE_CLIENT]);
	expect_reset(joint.peers[SIDE_UPSTREAM]);
	end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
	bytes_free(&frame);
	rig_stop(&rig);
}

/* A reset of one peer while the tunnel closes leaves the other one its answer. */
static void a_reset_leaves_the_other_peer_in_peace(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side broken = 0; broken < SIDES; broken++) {
		struct joint joint = join_frames(&rig, TCP);

		drain(&joint, NO_LIMIT);
		expect_close(joint.peers[broken], broken, closing_words.code, "soon");
		send_reset(joint.peers[broken]);
		agree(&joint, other(broken));
		end_as_drained(&rig, &(struct joint){.peers = {joint.peers[other(broken)], -1}}, BY_ADMIN,
		               closing_words.code);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"a source that ends within a frame ends the wait for its end",
		 a_source_that_ends_within_a_frame_ends_the_wait},
		{"a blind direction ends with a FIN", a_blind_direction_ends_with_a_fin},
		{"who does not answer in time is reset", who_does_not_answer_is_reset},
		{"a frame without end is waited for no longer than that",
		 a_frame_without_end_is_waited_for_no_longer},
		{"a reset of one peer leaves the other one in peace",
		 a_reset_leaves_the_other_peer_in_peace},
	};

	return RUN_TESTS(tests);
}
