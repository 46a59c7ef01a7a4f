/**
 * How a path may be read. Proxies and servers disagree on encoded characters, dot segments, empty segments and path
 * parameters, so that one target can mean an open path to one of them and a guarded path to the next.
 */

export interface PathReadings {
  /** The reading that routes are matched with. */
  readonly path: string
  /** How else an upstream may read it, without `path` itself; usually empty. */
  readonly otherPaths: readonly string[]
}

/** Only segments that everyone reads alike: no `%`, `\` and `;`, no empty segment, no `.` and `..`. */
const PLAIN = /^(?:\/(?!\.\.?(?:\/|$))[A-Za-z0-9._~!$&'()*+,=:@-]+)*\/?$/

const noPaths: readonly string[] = []

/** Readings of one path, and their characters together. Honest paths have a handful. */
const READINGS_MAX = 64
const READING_CHARS_MAX = 65_536

/**
 * What one server or another does to a path before it looks at it. Each step gives back its argument where there is
 * nothing to do.
 */
const steps: readonly ((path: string) => string)[] = [
  decodeUnreserved,
  decodeVisible,
  decodeOverlong,
  withoutLineBreaks,
  beforeQuery,
  slashForBackslash,
  withoutParameters,
  mergeSlashes,
  removeDotSegments,
]

/**
 * All readings of a raw path that starts with `/` and whose percent-encoding is valid: what comes of it by any of these
 * steps, in any order and any number of times.
 * - Encoded unreserved characters are decoded, which changes nothing about the meaning (RFC 3986 6.2.2.2).
 * - All encoded visible ASCII is decoded, slashes among it; done twice it undoes a double encoding.
 * - ASCII in more bytes of UTF-8 than it needs is decoded, as lenient decoders do it: `%C0%AF` is a slash.
 * - Encoded tabs and line breaks go, as the URL parser of browsers and node has it.
 * - It ends before a decoded `?`, `#` or NUL, as in servers that decode before they split: `/staff%3F` is `/staff` there.
 * - Backslashes become slashes, as the URL parser of browsers and node has it.
 * - Path parameters go (`;x` up to the next slash), as in servlet containers: `/public/..;/admin` is `/admin` there.
 * - Runs of slashes become one.
 * - Dot segments are removed; what climbs above the root stays at the root (RFC 3986 5.2.4).
 *
 * `path` is the reading by the first and the last two steps: `%2F` stays encoded in it. Undefined for a path with more
 * readings than any honest one has.
 */
export function readPath(raw: string): PathReadings | undefined {
  if (PLAIN.test(raw)) return { path: raw, otherPaths: noPaths }
  const normal = decodeUnreserved(raw)
  const path = resolved(normal)
  const readings = new Set([normal])
  let charsLeft = READING_CHARS_MAX
  // A Set goes on to what is added to it during its iteration.
  for (const reading of readings) {
    charsLeft -= reading.length
    if (readings.size > READINGS_MAX || charsLeft < 0) return undefined
    for (const step of steps) readings.add(step(reading))
  }
  readings.delete(path)
  return { path, otherPaths: readings.size === 0 ? noPaths : [...readings] }
}

/** `readPath(raw).path` alone. */
export function canonicalPath(raw: string): string {
  return PLAIN.test(raw) ? raw : resolved(decodeUnreserved(raw))
}

function resolved(text: string): string {
  return removeDotSegments(mergeSlashes(text))
}

function decodeOverlong(text: string): string {
  return text.includes('%') ? text.replace(OVERLONG, shortOf) : text
}

function withoutLineBreaks(text: string): string {
  return text.includes('%') ? text.replace(/%0[9ad]/gi, '') : text
}

/** A raw path has neither `?` nor `#`: they were encoded. */
function beforeQuery(text: string): string {
  const end = text.search(/[?#]|%00/)
  return end < 0 ? text : text.slice(0, end)
}

function slashForBackslash(text: string): string {
  return text.includes('\\') ? text.replaceAll('\\', '/') : text
}

function withoutParameters(text: string): string {
  return text.includes(';') ? text.replace(/;[^/]*/g, '') : text
}

function mergeSlashes(text: string): string {
  return text.includes('//') ? text.replace(/\/{2,}/g, '/') : text
}

/** RFC 3986 5.2.4. */
function removeDotSegments(text: string): string {
  if (!/\/\.\.?(?:\/|$)/.test(text)) return text
  const segments = text.split('/')
  const kept: string[] = []
  for (let index = 1; index < segments.length; index += 1) {
    const segment = segments[index] as string
    if (segment !== '.' && segment !== '..') {
      kept.push(segment)
      continue
    }
    if (segment === '..') kept.pop()
    // `/a/b/..` is `/a/`, with its slash.
    if (index === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}

const ENCODED = /%[0-9A-Fa-f]{2}/g

function decodeUnreserved(text: string): string {
  return text.includes('%') ? text.replace(ENCODED, unreservedOf) : text
}

/** RFC 3986 6.2.2: an unreserved character is the same as its encoding, and so are both cases of its digits. */
function unreservedOf(encoded: string): string {
  const char = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(char) ? char : encoded.toUpperCase()
}

/** Encoded blanks, control characters and bytes beyond ASCII stay: no path in the configuration holds them raw. */
function decodeVisible(text: string): string {
  return text.includes('%') ? text.replace(ENCODED, visibleOf) : text
}

function visibleOf(encoded: string): string {
  const char = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return /[!-~]/.test(char) ? char : encoded.toUpperCase()
}

/** Each with an ASCII character in its last two bytes (RFC 3629 3 forbids all of these). */
const OVERLONG = /(?:%C[01]|(?:%E0|%F0%80)%8[01])%[89AB][0-9A-F]/gi

function shortOf(encoded: string): string {
  const [high = 0, low = 0] = Buffer.from(encoded.replaceAll('%', ''), 'hex').subarray(-2)
  const code = ((high & 1) << 6) | (low & 0x3f)
  return visibleOf(`%${code.toString(16).padStart(2, '0')}`)
}
