/* Plain GETs on kept-alive connections, one at a time on each; a connection that the gateway ends is reopened. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define GRACE_SECONDS 15

struct getter {
  struct wire wire;
  bool asked;
  int64_t asked_at;
  size_t have;
  char answer[4096];
};

static struct {
  const struct options *options;
  struct histogram latency;
  uint64_t asked, done, connections;
  int64_t now, stop_at;
  int epoll;
} run;

static void open_getter(struct getter *getter) {
  wire_open(&getter->wire, connect_from((unsigned)(run.connections++ % 4000000u), run.options->port));
  getter->asked = false;
  getter->have = 0;
  epoll_watch(run.epoll, getter->wire.fd, getter);
}

static bool may_ask(void) {
  if (run.options->count > 0 && run.asked >= run.options->count) return false;
  return run.options->seconds == 0 || run.now < run.stop_at;
}

static void ask(struct getter *getter) {
  static const char request[] =
      "GET /hello HTTP/1.1\r\nHost: chat.example.com\r\nUser-Agent: load\r\nAccept: */*\r\n"
      "Accept-Encoding: gzip, deflate, br\r\nCookie: session=3f2504e04f8941d39a0c0305e82c3301\r\n\r\n";
  if (getter->asked || !may_ask()) return;
  ssize_t sent = wire_send(&getter->wire, request, sizeof request - 1);
  if (sent < 0 && errno == EAGAIN) return;
  if (sent != (ssize_t)sizeof request - 1) die("request not sent");
  getter->asked = true;
  getter->asked_at = run.now;
  run.asked++;
}

/* The length of a whole answer, or 0. */
static size_t answer_length(const struct getter *getter) {
  const char *value;
  size_t value_length;
  size_t head = head_length(getter->answer, getter->have);
  if (head == 0) return 0;
  if (memcmp(getter->answer, "HTTP/1.1 200 ", 13) != 0) die("answered %.12s", getter->answer);
  if (!head_field(getter->answer, head, "Content-Length", &value, &value_length)) die("no Content-Length");
  unsigned long body = strtoul(value, NULL, 10);
  if (body != 13) die("a body of %lu bytes", body);
  return getter->have < head + body ? 0 : head + body;
}

static void reopen(struct getter *getter) {
  wire_close(&getter->wire);
  open_getter(getter);
}

static void finish(struct getter *getter, size_t length) {
  const char *value;
  size_t value_length;
  if (memcmp(getter->answer + length - 13, "Hello, world\n", 13) != 0) die("wrong body");
  if (getter->have != length) die("bytes after an answer");
  histogram_add(&run.latency, run.now - getter->asked_at);
  run.done++;
  getter->asked = false;
  getter->have = 0;
  if (head_field(getter->answer, length - 13, "Connection", &value, &value_length) && value_length == 5 &&
      strncasecmp(value, "close", 5) == 0) {
    reopen(getter);
  } else {
    ask(getter);
  }
}

static void step(struct getter *getter) {
  ssize_t got = wire_recv(&getter->wire, getter->answer + getter->have, sizeof getter->answer - getter->have);
  if (got < 0 && errno != EAGAIN) die("recv: %s", strerror(errno));
  if (got == 0 && getter->asked) die("closed before the answer");
  if (got == 0) {
    reopen(getter);
  } else if (got < 0) {
    ask(getter);
  } else {
    getter->have += (size_t)got;
    size_t length = answer_length(getter);
    if (length > 0) finish(getter, length);
    else if (getter->have == sizeof getter->answer) die("answer too long");
  }
}

void run_get(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  struct getter *getters = calloc(options->concurrent, sizeof *getters);
  if (getters == NULL) die("no memory");
  run.options = options;
  run.epoll = epoll_new();
  wait_for_go();

  double cpu = cpu_seconds();
  int64_t start = run.now = now_ns();
  run.stop_at = start + options->seconds * 1000000000ll;
  int64_t give_up_at = (options->seconds > 0 ? run.stop_at : start + 600000000000ll) + GRACE_SECONDS * 1000000000ll;
  for (unsigned i = 0; i < options->concurrent; i++) open_getter(&getters[i]);
  while (run.done < run.asked || may_ask()) {
    int ready = epoll_wait(run.epoll, events, EVENT_BATCH, 100);
    run.now = now_ns();
    for (int i = 0; i < ready; i++) step(events[i].data.ptr);
    if (run.now > give_up_at) die("%llu of %llu answers came", (unsigned long long)run.done, (unsigned long long)run.asked);
  }
  printf("{\"requests\":%llu,\"connections\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,",
         (unsigned long long)run.done, (unsigned long long)run.connections, (double)(now_ns() - start) / 1e9,
         cpu_seconds() - cpu);
  histogram_print(&run.latency);
  puts("}");
  fflush(stdout);
  free(getters);
}
