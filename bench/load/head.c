/* Finds the end and the fields of an HTTP/1.1 head. */
#include "load.h"

#include <string.h>
#include <strings.h>

size_t head_length(const char *bytes, size_t length) {
  const char *end = memmem(bytes, length, "\r\n\r\n", 4);
  return end == NULL ? 0 : (size_t)(end - bytes) + 4;
}

bool head_field(const char *head, size_t length, const char *name, const char **value, size_t *value_length) {
  size_t name_length = strlen(name);
  const char *end = head + length;
  const char *line = memmem(head, length, "\r\n", 2);
  while (line != NULL && line + 2 < end) {
    line += 2;
    const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
    if (next == NULL) return false;
    if ((size_t)(next - line) > name_length && line[name_length] == ':' &&
        strncasecmp(line, name, name_length) == 0) {
      const char *from = line + name_length + 1;
      while (from < next && (*from == ' ' || *from == '\t')) from++;
      *value = from;
      *value_length = (size_t)(next - from);
      return true;
    }
    line = next;
  }
  return false;
}
