/** Parses a request target (RFC 9112 3.2) into the origin form that goes on, the query, and all readings of the path. */

import { Refusal } from '../errors.ts'
import { parseAuthority, type Authority } from './authority.ts'
import { readPath } from './paths.ts'

export interface Target {
  /** `/path?query`, as sent but for bytes above 0x7F, which are encoded; or `*`. */
  readonly target: string
  readonly path: string
  readonly otherPaths: readonly string[]
  /** Without its `?`. */
  readonly query: string
  /** Of the absolute form: it replaces Host (RFC 9112 3.2.2). */
  readonly authority: Authority | undefined
}

/** What no valid target holds: a fragment, and characters that have to be encoded. */
const INVALID = /[^!-~\x80-\xff]|#/
/** They have to be encoded as well, and many clients do not: everybody reads them alike. `text` has them as latin1. */
const RAW_BYTES = /[\x80-\xff]/g
/**
 * What a path must not hold: a `%` that encodes nothing, or a NUL. A query may: browsers send `?q=100%` as it was
 * typed, no route is chosen by it unless its text says so, and the upstream gets it as it came.
 */
const INVALID_PATH = /%(?![0-9A-Fa-f]{2})|%00/
const ABSOLUTE = /^https?:\/\/([^/?]*)/i

/**
 * Takes the origin form, the absolute form of http and https (reduced to the origin form), and `*` for OPTIONS.
 * Refuses everything else with E_TARGET_INVALID, and a path that can be read in too many ways with E_TARGET_AMBIGUOUS.
 */
export function parseTarget(method: string, sent: string): Target | Refusal {
  if (INVALID.test(sent)) return invalid(sent)
  const text = sent.replace(RAW_BYTES, encoded)
  if (text.startsWith('/')) return originForm(text, undefined)
  if (text === '*') return method === 'OPTIONS' ? asterisk(undefined) : invalid(text)
  const match = ABSOLUTE.exec(text)
  if (match === null) return invalid(text)
  const authority = parseAuthority(match[1] ?? '')
  if (authority === undefined) return invalid(text)
  const rest = text.slice(match[0].length)
  // RFC 9112 3.2.4: OPTIONS for a whole server has no path.
  if (rest === '' && method === 'OPTIONS') return asterisk(authority)
  return originForm(rest.startsWith('/') ? rest : `/${rest}`, authority)
}

function encoded(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase()}`
}

function originForm(target: string, authority: Authority | undefined): Target | Refusal {
  const mark = target.indexOf('?')
  const rawPath = mark < 0 ? target : target.slice(0, mark)
  if (INVALID_PATH.test(rawPath)) return invalid(target)
  const readings = readPath(rawPath)
  if (readings === undefined) {
    return new Refusal('E_TARGET_AMBIGUOUS', { cause: 'a path with too many readings' })
  }
  const { path, otherPaths } = readings
  return { target, path, otherPaths, query: mark < 0 ? '' : target.slice(mark + 1), authority }
}

function asterisk(authority: Authority | undefined): Target {
  return { target: '*', path: '*', otherPaths: [], query: '', authority }
}

function invalid(text: string): Refusal {
  const mark = text.indexOf('?')
  // A query may hold a token, and so may the userinfo of an absolute form: neither may be logged.
  const shown = mark < 0 ? text : `${text.slice(0, mark)}?...`
  const cause = shown.includes('@')
    ? 'a target with userinfo'
    : `the target ${JSON.stringify(shown)}`
  return new Refusal('E_TARGET_INVALID', { cause })
}
