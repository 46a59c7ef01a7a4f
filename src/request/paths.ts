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

/**
 * All readings of a raw path that starts with `/` and whose percent-encoding is valid.
 *
 * The text of the path is taken in three ways: with its encoded unreserved characters decoded (RFC 3986 6.2.2.2), which
 * changes nothing about its meaning; with all encoded ASCII characters decoded and backslashes as slashes; and with that
 * done twice. Each of them counts as it is and without path parameters (`;x` up to the next slash, as servlet containers
 * remove them). Each of those six texts has up to four readings: dot segments and empty segments are resolved or kept,
 * independently of each other. `path` is the first text with both resolved: `%2F` stays encoded in it, and what climbs
 * above the root stays at the root (RFC 3986 5.2.4).
 */
export function readPath(raw: string): PathReadings {
  if (PLAIN.test(raw)) return { path: raw, otherPaths: noPaths }
  const normal = decodeUnreserved(raw)
  const decoded = decodeAll(raw)
  const path = resolved(normal)
  const readings = new Set<string>()
  for (const text of new Set([normal, decoded, decodeAll(decoded)])) {
    addReadings(readings, text)
    if (text.includes(';')) addReadings(readings, text.replace(/;[^/]*/g, ''))
  }
  readings.delete(path)
  return { path, otherPaths: readings.size === 0 ? noPaths : [...readings] }
}

/** `readPath(raw).path` alone. */
export function canonicalPath(raw: string): string {
  return PLAIN.test(raw) ? raw : resolved(decodeUnreserved(raw))
}

function addReadings(readings: Set<string>, text: string): void {
  const merged = mergeSlashes(text)
  readings.add(text)
  readings.add(merged)
  readings.add(removeDotSegments(text))
  readings.add(removeDotSegments(merged))
}

function resolved(text: string): string {
  return removeDotSegments(mergeSlashes(text))
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
function decodeAll(text: string): string {
  const decoded = text.includes('%') ? text.replace(ENCODED, visibleOf) : text
  return decoded.replaceAll('\\', '/')
}

function visibleOf(encoded: string): string {
  const char = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return /[!-~]/.test(char) ? char : encoded.toUpperCase()
}
