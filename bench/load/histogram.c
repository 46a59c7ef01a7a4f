/* Latencies in logarithmic buckets: the power of two, and 32 steps within it. */
#include "load.h"

void histogram_add(struct histogram *histogram, int64_t ns) {
  uint64_t value = ns < 32 ? 32 : (uint64_t)ns;
  unsigned power = 63 - (unsigned)__builtin_clzll(value);
  unsigned step = (unsigned)(value >> (power - 5)) & 31;
  histogram->buckets[power * 32 + step]++;
  histogram->total++;
}

double histogram_us(const struct histogram *histogram, double quantile) {
  uint64_t wanted = (uint64_t)(quantile * (double)histogram->total);
  uint64_t seen = 0;
  for (unsigned at = 0; at < 64 * 32; at++) {
    seen += histogram->buckets[at];
    if (histogram->buckets[at] > 0 && (seen > wanted || seen == histogram->total)) {
      unsigned power = at / 32;
      double low = (double)(1ull << power);
      return (low + low / 32.0 * (at % 32 + 0.5)) / 1000.0;
    }
  }
  return 0;
}
