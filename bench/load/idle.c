/* Tunnels that stay open and say nothing; at the end it counts those that were lost. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

void run_idle(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  unsigned lost = 0;
  int epoll = epoll_new();
  struct tunnel *tunnels = calloc(options->tunnels, sizeof *tunnels);
  if (tunnels == NULL) die("no memory");
  tunnels_open((char *)tunnels, sizeof *tunnels, options, epoll);
  wait_for_go();

  int ready;
  while ((ready = epoll_wait(epoll, events, EVENT_BATCH, 0)) > 0) {
    for (int i = 0; i < ready; i++) {
      if (breaks_silence(events[i].events)) lost++;
    }
  }
  printf("{\"tunnels\":%u,\"lost\":%u}\n", options->tunnels, lost);
  fflush(stdout);
  free(tunnels);
}
