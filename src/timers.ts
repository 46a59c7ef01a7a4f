/** The longest time that node's timers know, in milliseconds: some 25 days. Above it they fire at once. */
export const TIMER_MAX_MS = 2 ** 31 - 1
