/* As `idle`, with tunnels that are streams of HTTP/2. One that was lost ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "h2.h"

void run_idle_h2(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  int epoll = epoll_new();
  struct h2 *connections = h2_open(options, epoll);
  wait_for_go();

  int ready;
  while ((ready = epoll_wait(epoll, events, EVENT_BATCH, 0)) > 0) {
    for (int i = 0; i < ready; i++) h2_read(events[i].data.ptr, NULL);
  }
  printf("{\"tunnels\":%u,\"lost\":0}\n", options->tunnels);
  fflush(stdout);
  free(connections);
}
