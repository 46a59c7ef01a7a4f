#include "keepalive.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define IDLE_S 60
#define INTERVAL_S 1
#define PROBES 10

/* Of a policy: so many, as far as whole seconds allow. */
#define POLICY_PROBES 3
/* The most that the kernel takes for a time and for a number. */
#define SECONDS_MAX 32767
#define MS_PER_S 1000

void set_tcp_options(int fd)
{
	int on = 1;
	int idle = IDLE_S;
	int interval = INTERVAL_S;
	int probes = PROBES;

	/* None of them can fail on a TCP socket; without them a tunnel would still work. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static int seconds_of(uint64_t ms)
{
	uint64_t seconds = ms / MS_PER_S + (ms % MS_PER_S > 0);

	if (seconds == 0)
		return 1;
	return seconds < SECONDS_MAX ? (int)seconds : SECONDS_MAX;
}

void set_keepalive(int fd, uint64_t silence_ms, uint64_t timeout_ms)
{
	int family = AF_UNSPEC;
	socklen_t length = sizeof family;
	int on = 1;
	int idle = seconds_of(silence_ms);
	int interval = seconds_of(timeout_ms / POLICY_PROBES);
	int probes = seconds_of(timeout_ms) / interval;
	unsigned limit_ms;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0 ||
	    (family != AF_INET && family != AF_INET6))
		return;
	limit_ms = silence_ms < INT_MAX / 2 && timeout_ms < INT_MAX / 2
	               ? (unsigned)(silence_ms + timeout_ms)
	               : INT_MAX;
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
}
