/* Latencies in logarithmic buckets: the power of two, and equal steps within it. */
#include "load.h"

#include <stdio.h>

void histogram_add(struct histogram *histogram, int64_t ns) {
  uint64_t value = ns < HISTOGRAM_STEPS ? HISTOGRAM_STEPS : (uint64_t)ns;
  unsigned power = 63 - (unsigned)__builtin_clzll(value);
  unsigned step = (unsigned)(value >> (power - HISTOGRAM_STEP_BITS)) % HISTOGRAM_STEPS;
  histogram->buckets[power * HISTOGRAM_STEPS + step]++;
  histogram->total++;
}

double histogram_us(const struct histogram *histogram, double quantile) {
  uint64_t wanted = (uint64_t)(quantile * (double)histogram->total);
  uint64_t seen = 0;
  for (unsigned at = 0; at < 64 * HISTOGRAM_STEPS; at++) {
    seen += histogram->buckets[at];
    if (histogram->buckets[at] > 0 && (seen > wanted || seen == histogram->total)) {
      double low = (double)(1ull << at / HISTOGRAM_STEPS);
      return (low + low / HISTOGRAM_STEPS * (at % HISTOGRAM_STEPS + 0.5)) / 1000.0;
    }
  }
  return 0;
}

void histogram_print(const struct histogram *histogram) {
  printf("\"p50us\":%.1f,\"p99us\":%.1f,\"p999us\":%.1f", histogram_us(histogram, 0.5), histogram_us(histogram, 0.99),
         histogram_us(histogram, 0.999));
}
