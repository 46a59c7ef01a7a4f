/**
 * The values that a configuration is made of: durations, sizes, counts, switches, names, files, patterns. Each is a
 * zod schema from what the file says to what the program uses; its message says what is accepted.
 */

import { RE2JS } from 're2js'
import { z } from 'zod'

import { durationHint, sizeHint } from './hints.ts'

const millisecondsPer = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const bytesPer = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

/** Parts such as `1h30m`, the longest unit first. */
const durationForm =
  '(?=\\d)(?:\\d{1,12}d)?(?:\\d{1,12}h)?(?:\\d{1,12}m)?(?:\\d{1,12}s)?(?:\\d{1,12}ms)?'
const durationPattern = new RegExp(`^${durationForm}$`)

/** Timers above 2^31-1 ms fire at once, so 24 days is the longest. */
const durationMaxMs = 24 * millisecondsPer.d

/** Far above any sensible pattern; it bounds the work of compiling it. */
const patternCharsMax = 1000

/** What would be right in place of a value; undefined where nobody can tell. */
type Hint = (value: unknown) => string | undefined

export function hinted(message: string, hint: string | undefined): string {
  return hint === undefined ? message : `${message}; ${hint}`
}

/** A schema for one word of text, with one message for everything that can be wrong with its form. */
export function word(pattern: RegExp, message: string, hint: Hint = () => undefined) {
  const error = ({ input }: { readonly input?: unknown }): string =>
    hinted(
      message,
      typeof input === 'string' || typeof input === 'number' ? hint(input) : undefined,
    )
  return z.string({ error }).regex(pattern, { error })
}

/** Text that is not empty. */
export function text(what: string) {
  const message = `expected ${what}`
  return z.string({ error: message }).min(1, { error: message })
}

/** A list of at least `min` items. */
export function list<Item extends z.ZodType>(item: Item, what: string, min = 0) {
  const message = `expected ${what}`
  return z.array(item, { error: message }).min(min, { error: message })
}

/** One item or a list of them; always a list afterwards. */
export function oneOrMore<Item extends z.ZodType>(item: Item, what: string) {
  return z
    .union([item, list(item, what, 1)], { error: `expected ${what}` })
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<Item>[])
}

/** One of these words. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, { error: `expected ${orList(words)}` })
}

/** `a`, `a or b`, `a, b or c`. */
export function orList(words: readonly string[]): string {
  return words.length < 2
    ? words.join('')
    : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
}

/**
 * A duration to milliseconds. `off` gives `Infinity`, and 0 is accepted, only where they are allowed.
 * The longest is 24 days, and the shortest 1ms unless `minSeconds` asks for more.
 */
export function duration(allowed: { off?: boolean; zero?: boolean; minSeconds?: number } = {}) {
  const message = `expected a duration such as 500ms, 5s, 10m, 1h30m or 7d${allowed.off === true ? ', or off' : ''}`
  const pattern = allowed.off === true ? new RegExp(`^(?:${durationForm}|off)$`) : durationPattern
  return word(pattern, message, durationHint)
    .transform((value, context) => {
      if (value === 'off') return Infinity
      const durationMs = millisecondsIn(value)
      if (durationMs === 0 && allowed.zero !== true) {
        const instead = allowed.off === true ? '; write off for no limit' : ''
        return fail(context, `must be longer than 0${instead}`)
      }
      const orOff = allowed.off === true ? ', or off' : ''
      if (durationMs > durationMaxMs) return fail(context, `must be at most 24d${orOff}`)
      const { minSeconds = 0 } = allowed
      if (durationMs < minSeconds * millisecondsPer.s) {
        return fail(context, `must be at least ${minSeconds}s${orOff}`)
      }
      return durationMs
    })
    .meta({ title: 'duration' })
}

/** The sum of its parts. */
function millisecondsIn(value: string): number {
  let sumMs = 0
  for (const [, digits, unit] of value.matchAll(/(\d+)(\D+)/g)) {
    sumMs += Number(digits) * millisecondsPer[unit as keyof typeof millisecondsPer]
  }
  return sumMs
}

/** The shortest text of a duration; `off` for `Infinity`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === Infinity) return 'off'
  if (durationMs === 0) return '0s'
  const units = Object.entries(millisecondsPer).toReversed()
  const [unit, unitMs] = units.find(([, each]) => durationMs % each === 0) ?? ['ms', 1]
  return `${durationMs / unitMs}${unit}`
}

/** A size to bytes: `64KiB`, `1MiB`, or a plain number of bytes. */
export function size(minBytes: number, maxBytes: number) {
  const range = `from ${formatSize(minBytes)} to ${formatSize(maxBytes)}`
  const message = `expected a size such as 64KiB, 1MiB or 16384, ${range}`
  const bytes = z.int({ error: message }).min(minBytes, message).max(maxBytes, message)
  const written = word(/^\d{1,12}(?:[KMG]iB)?$/, message, sizeHint)
    .transform((value) => {
      const [, digits = '', unit = ''] = /^(\d+)(\D*)$/.exec(value) ?? []
      return Number(digits) * bytesPer[unit as keyof typeof bytesPer]
    })
    .pipe(bytes)
  return z
    .union([bytes, written], { error: ({ input }) => hinted(message, sizeHint(input)) })
    .meta({ title: 'size' })
}

/** The shortest text of a size. */
export function formatSize(bytes: number): string {
  const units = Object.entries(bytesPer).toReversed()
  const [unit, unitBytes] = units.find(([, each]) => bytes % each === 0) ?? ['', 1]
  return `${bytes / unitBytes}${unit}`
}

/** A whole number. Digits in quotes are accepted too, since a value from the environment is text. */
export function count(min: number, max: number) {
  const message = `expected a whole number from ${min} to ${max}`
  const number = z.int({ error: message }).min(min, message).max(max, message)
  const written = word(/^\d{1,12}$/, message)
    .transform(Number)
    .pipe(number)
  return z.union([number, written], { error: message }).meta({ title: 'number' })
}

/** A whole number from 1, or `off`, which gives `Infinity`. */
export function limit() {
  const max = 1_000_000_000
  const message = `expected a whole number from 1 to ${max}, or off`
  const number = z.int({ error: message }).min(1, message).max(max, message)
  const off = z.literal('off', { error: message }).transform(() => Infinity)
  const written = word(/^\d{1,12}$/, message)
    .transform(Number)
    .pipe(number)
  return z.union([number, off, written], { error: message }).meta({ title: 'number or off' })
}

/** `10%` to 0.1; from 1% to 100%. */
export function percentage() {
  const message = 'expected a percentage from 1% to 100%, such as 10%'
  return word(/^(?:[1-9]\d?|100)%$/, message)
    .transform((value) => Number(value.slice(0, -1)) / 100)
    .meta({ title: 'percentage' })
}

/** `true` or `false`; in quotes too, since a value from the environment is text. */
export function flag() {
  const message = 'expected true or false'
  const written = z.enum(['true', 'false'], { error: message })
  return z
    .union([z.boolean({ error: message }), written.transform((value) => value === 'true')], {
      error: message,
    })
    .meta({ title: 'true or false' })
}

/** The name of a route, an upstream or a check: it becomes a metric label, and cannot be taken for a URL. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export const nameMessage =
  'expected a name of letters, digits, ".", "_" and "-", at most 64 of them, that starts with a letter or digit'

export function name() {
  return word(namePattern, nameMessage).meta({ title: 'name' })
}

/** The path of a file, relative to the config file or absolute; it is resolved and read later. */
export function file() {
  return text('the path of a file').meta({ title: 'file' })
}

/** A regular expression in RE2 syntax, which matches in linear time whatever a client sends. */
export function regex() {
  const message = `expected a regular expression of at most ${patternCharsMax} characters`
  return text(`a regular expression of at most ${patternCharsMax} characters`)
    .max(patternCharsMax, { error: message })
    .transform((value, context) => {
      try {
        RE2JS.compile(value)
        return value
      } catch (error) {
        const reason = String(error).replace(/^.*error parsing regexp: /, '')
        const hint = /\(\?[=!<]|\\[1-9]/.test(value)
          ? '; look-around and back-references are not supported (RE2 syntax)'
          : ''
        return fail(context, `not a valid regular expression: ${reason}${hint}`)
      }
    })
    .meta({ title: 'regular expression' })
}

/** Reports `message` as it is, and ends the transformation. */
export function fail(context: z.core.$RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}
