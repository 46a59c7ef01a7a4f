/*
 * load MODE name=number ...: the upstream (`serve`) or one of the client loads, which are the others. A client prints
 * {"ready":true}, starts at a line on stdin, prints its result and lives on, with its connections, until stdin ends.
 */
#include "load.h"
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct setting {
  const char *name;
  unsigned low, high;
  unsigned *value;
};

static void parse(char *argument, const struct setting *settings, size_t count) {
  char *equals = strchr(argument, '=');
  char *end;
  if (equals == NULL) die("not name=number: %s", argument);
  unsigned long value = strtoul(equals + 1, &end, 10);
  for (size_t i = 0; i < count; i++) {
    const struct setting *setting = &settings[i];
    if (strlen(setting->name) != (size_t)(equals - argument)) continue;
    if (strncmp(setting->name, argument, strlen(setting->name)) != 0) continue;
    if (*end != 0 || end == equals + 1 || value < setting->low || value > setting->high) {
      die("%s: from %u to %u", setting->name, setting->low, setting->high);
    }
    *setting->value = (unsigned)value;
    return;
  }
  die("unknown option: %s", argument);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(const struct options *);
  } modes[] = {{"serve", run_serve}, {"echo", run_echo},           {"echo-h2", run_echo_h2},
               {"paced", run_paced}, {"idle", run_idle},           {"idle-h2", run_idle_h2},
               {"get", run_get},     {"handshake", run_handshake}};
  struct options options = {
      .tunnels = 1, .streams = 1, .active = 0, .size = 64, .depth = 1, .concurrent = 1, .rate = 1000};
  unsigned port = 0;
  const struct setting settings[] = {
      {"port", 0, 65535, &port},
      {"tunnels", 1, 18000, &options.tunnels},
      {"streams", 1, 1000, &options.streams},
      {"active", 1, 18000, &options.active},
      {"size", MESSAGE_SIZE_MIN, MESSAGE_SIZE_MAX, &options.size},
      {"depth", 1, 64, &options.depth},
      {"seconds", 0, 600, &options.seconds},
      {"rate", 1, 1000000, &options.rate},
      {"count", 0, 10000000, &options.count},
      {"concurrent", 1, 2000, &options.concurrent},
  };
  if (argc < 2) die("usage: load serve|echo|echo-h2|paced|idle|idle-h2|handshake|get name=number ...");
  for (int i = 2; i < argc; i++) parse(argv[i], settings, sizeof settings / sizeof settings[0]);
  options.port = (uint16_t)port;
  if (options.active == 0 || options.active > options.tunnels) options.active = options.tunnels;
  if (options.seconds == 0 && options.count == 0) options.count = 1;
  raise_file_limit();

  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(modes[i].name, argv[1]) != 0) continue;
    modes[i].run(&options);
    char rest[64];
    while (read(STDIN_FILENO, rest, sizeof rest) > 0) continue;
    return 0;
  }
  die("unknown mode: %s", argv[1]);
}
