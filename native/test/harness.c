#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEADLINE_S 60

static const char *current = "any input does";

_Noreturn void fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "not ok - %s\n%s:%d: ", current, file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

void check_equal(const char *file, int line, const char *what, long long actual, long long expected)
{
	if (actual != expected)
		fail(file, line, "%s is %lld instead of %lld", what, actual, expected);
}

size_t count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	size_t count = 0;

	CHECK(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	(void)closedir(folder);
	return count;
}

/* What is called here is safe in a handler, which `fail` is not. */
static void on_deadline(int signal_number)
{
	static const char words[] = "still running after a minute: ";

	(void)signal_number;
	(void)!write(STDERR_FILENO, words, sizeof words - 1);
	(void)!write(STDERR_FILENO, current, strlen(current));
	(void)!write(STDERR_FILENO, "\n", 1);
	abort();
}

int run_tests(const struct test *tests, size_t count)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)signal(SIGALRM, on_deadline);
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t index = 0; index < count; index++) {
		size_t before = count_descriptors();

		current = tests[index].sentence;
		(void)alarm(DEADLINE_S);
		tests[index].run();
		(void)alarm(0);
		CHECK_EQUAL(count_descriptors(), before);
		printf("ok - %s\n", current);
	}
	return 0;
}

/* The number that the next descriptor gets. */
static rlim_t next_descriptor(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	CHECK(fd >= 0);
	(void)close(fd);
	return (rlim_t)fd;
}

struct rlimit limit_descriptors(rlim_t more)
{
	struct rlimit before;
	struct rlimit now;

	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = next_descriptor() + more;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void notify(void *context)
{
	struct rig *rig = context;

	CHECK_EQUAL(eventfd_write(rig->notified_fd, 1), 0);
}

void rig_start(struct rig *rig, unsigned threads, size_t buffer_bytes)
{
	struct relay_options options = {
		.threads = threads, .buffer_bytes = buffer_bytes, .notify = notify, .context = rig};
	int error = 0;

	rig->notified_fd = eventfd(0, EFD_CLOEXEC);
	CHECK(rig->notified_fd >= 0);
	rig->relay = relay_create(&options, &error);
	CHECK(rig->relay != NULL);
}

void rig_stop(struct rig *rig)
{
	relay_destroy(rig->relay);
	(void)close(rig->notified_fd);
}

struct event await_event(struct rig *rig)
{
	struct event event;
	eventfd_t ignored;

	while (!relay_take(rig->relay, &event))
		CHECK_EQUAL(eventfd_read(rig->notified_fd, &ignored), 0);
	return event;
}

struct event await_end(struct rig *rig)
{
	struct event event = await_event(rig);

	CHECK_EQUAL(event.kind, EVENT_ENDED);
	return event;
}

void check_end(const struct event *event, enum ended_by by, enum end_reason reason)
{
	CHECK_EQUAL(event->kind, EVENT_ENDED);
	CHECK_EQUAL(event->reason, reason);
	CHECK_EQUAL(event->by, by);
}

struct hold *hold_text(const char *text)
{
	struct hold *hold = hold_new(strlen(text));

	CHECK(hold != NULL);
	memcpy(hold->bytes, text, strlen(text));
	return hold;
}

void take_text(struct hold *hold, const char *text)
{
	CHECK_EQUAL(hold == NULL, text == NULL);
	if (hold == NULL || text == NULL)
		return;
	CHECK_EQUAL(hold->begin, 0);
	CHECK_EQUAL(hold->end, strlen(text));
	CHECK(memcmp(hold->bytes, text, strlen(text)) == 0);
	hold_free(hold);
}
