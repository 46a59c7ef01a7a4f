/**
 * Makes what goes out: target and fields for the upstream, and the fields of its answer for the client. Fields keep their
 * name's case, their order and their number; what a proxy has to remove, replace or add is decided here alone.
 */

import type { Identity } from '../auth/identity.ts'
import type { FieldEdits, RouteConfig } from '../config/config.ts'
import { Refusal, type Fields } from '../errors.ts'
import { compiled, type CompiledEdits } from './edits.ts'
import type { RequestFacts } from '../request/facts.ts'
import {
  aliasOf,
  aliasesOf,
  fates,
  isProtected,
  namedByConnection,
  type Fate,
} from '../request/field-names.ts'
import { addForwarded, passesXForwarded } from './forwarded-fields.ts'
import { fieldValue, hopByHop, listItems } from '../request/headers.ts'
import { onlyValue } from '../request/identifiers.ts'
import { canonicalPath, readPath, type PathReadings } from '../request/paths.ts'
import { withoutParams } from '../request/query.ts'

/**
 * The target for the upstream: as sent, without the query parameters that carried a token, and with the route's prefixes
 * stripped and added. A path outside of `stripPrefix` keeps what it has. Refuses with E_TARGET_AMBIGUOUS where the upstream
 * could read the result as something else than the route's path with other prefixes: a prefix that is encoded, dot
 * segments that climb out of it, or a result that begins like `//host`.
 */
export function outgoingTarget(
  facts: RequestFacts,
  rewrite: RouteConfig['rewrite'],
  hiddenQuery: readonly string[],
): string | Refusal {
  const { target } = facts
  if (target === '*') return target
  const mark = target.indexOf('?')
  const raw = mark < 0 ? target : target.slice(0, mark)
  const path = rewritten(facts, raw, rewrite)
  if (path instanceof Refusal || mark < 0) return path
  const query = withoutParams(facts.query, hiddenQuery)
  return query === '' && facts.query !== '' ? path : `${path}?${query}`
}

function rewritten(
  facts: RequestFacts,
  raw: string,
  { stripPrefix, addPrefix }: RouteConfig['rewrite'],
): string | Refusal {
  const isPlain = facts.path === raw && facts.otherPaths.length === 0
  const strip = prefixOf(stripPrefix)
  const add = prefixOf(addPrefix)
  let rest = raw
  if (strip !== '' && isBelow(facts.path, canonicalPath(strip))) {
    if (!isBelow(raw, strip)) return ambiguous(raw)
    rest = raw.slice(strip.length)
    if (!isPlain && !hasReadings(facts, strip, rest)) return ambiguous(raw)
  }
  const result = add + rest || '/'
  if (!isPlain && add !== '' && !hasReadings(readPath(result), add, rest)) return ambiguous(raw)
  return result !== raw && result.startsWith('//') ? ambiguous(raw) : result
}

function prefixOf(prefix: string | undefined): string {
  if (prefix === undefined) return ''
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
}

function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/')
}

/** Whether each reading of the whole is the prefix and a reading of the rest: no dot segment crosses the border. */
function hasReadings(whole: PathReadings | undefined, prefix: string, rest: string): boolean {
  const inner = readPath(rest)
  if (whole === undefined || inner === undefined) return false
  const start = canonicalPath(prefix)
  const allowed = new Set(inner.otherPaths.map((reading) => start + reading)).add(
    start + inner.path,
  )
  return (
    whole.path === start + inner.path && whole.otherPaths.every((reading) => allowed.has(reading))
  )
}

function ambiguous(raw: string): Refusal {
  return new Refusal('E_TARGET_AMBIGUOUS', { cause: `the path ${JSON.stringify(raw)}` })
}

export interface OutgoingOptions {
  /** The route's edits: they come last, and win. */
  readonly edits: FieldEdits
  /** Lower-case names that only the gateway and its checks may give to the upstream. */
  readonly ownFields: readonly string[]
  /** The Host to send where the request has none (HTTP/1.0), or where the edits remove it. */
  readonly defaultHost?: string
  /** The Upgrade tokens that go on: HTTP2-Settings is kept for `h2c`. */
  readonly tokens?: readonly string[]
}

/** The fields for the upstream, without Connection and Upgrade. `facts` come from `readFacts`, so that Host is there once. */
export function outgoingFields(
  facts: RequestFacts,
  identity: Identity,
  options: OutgoingOptions,
): string[] {
  const { fields } = facts
  const own = aliasesOf(options.ownFields)
  const edits = compiled(options.edits)
  const named = namedByConnection(fields)
  const host = (edits.host ?? facts.authority) || options.defaultHost
  const outgoing: string[] = []
  if (host !== undefined && fieldValue(fields, 'host') === undefined) outgoing.push('Host', host)
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string
    const lower = name.toLowerCase()
    const alias = aliasOf(lower)
    if (own.has(alias) || named?.has(alias) === true) continue
    if (alias !== lower && (isProtected(alias) || edits.names.has(alias))) continue
    const fate = fates.get(lower)
    if (fate === 'host') {
      if (host !== undefined) outgoing.push(name, host)
      continue
    }
    if (edits.names.has(lower)) continue
    const value = fields[index + 1] as string
    const kept =
      fate === undefined
        ? keptValue(lower, value, facts)
        : valueByFate(fate, value, { facts, identity, options })
    if (kept !== undefined) outgoing.push(name, kept)
  }
  addOwnFields(outgoing, { facts, identity, edits })
  for (const part of edits.set) outgoing.push(part)
  return outgoing
}

function keptValue(lower: string, value: string, facts: RequestFacts): string | undefined {
  // X-Forwarded-Prefix, -Ssl, -Server and others: upstreams believe them as they believe the four that are made.
  return !lower.startsWith('x-forwarded-') || passesXForwarded(facts) ? value : undefined
}

interface Outgoing {
  readonly facts: RequestFacts
  readonly identity: Identity
  readonly options: OutgoingOptions
}

function valueByFate(
  fate: Exclude<Fate, 'host'>,
  value: string,
  { facts, identity, options }: Outgoing,
): string | undefined {
  if (fate === 'keep') return value
  if (fate === 'drop') return undefined
  if (fate === 'trusted') return facts.peerTrusted ? value : undefined
  if (fate === 'subprotocol') return withoutItems(value, identity.hiddenSubprotocols)
  const goesOn =
    fate === 'h2c'
      ? options.tokens?.some((token) => token.toLowerCase() === 'h2c') === true
      : // Trace Context 3.3: tracestate belongs to its traceparent, and means nothing beside another one.
        facts.peerTrusted && onlyValue(facts.fields, 'traceparent') === facts.traceparent
  return goesOn ? value : undefined
}

function withoutItems(value: string, hidden: readonly string[]): string | undefined {
  if (hidden.length === 0) return value
  const items = listItems([value])
  const kept = items.filter((item) => !hidden.includes(item))
  if (kept.length === items.length) return value
  return kept.length === 0 ? undefined : kept.join(', ')
}

interface Additions {
  readonly facts: RequestFacts
  readonly identity: Identity
  readonly edits: CompiledEdits
}

function addOwnFields(outgoing: string[], { facts, identity, edits }: Additions): void {
  const { certificate, requestId, traceparent, via } = facts
  const start = outgoing.length
  addForwarded(outgoing, facts)
  if (certificate !== undefined && 'forwarded' in certificate) {
    outgoing.push('X-Forwarded-Client-Cert', certificate.forwarded)
  }
  outgoing.push('X-Request-Id', requestId, 'traceparent', traceparent)
  if (via !== undefined) outgoing.push('Via', via)
  if (identity.user !== undefined) outgoing.push('X-Auth-User', headerSafe(identity.user))
  for (let index = 0; index + 1 < identity.fields.length; index += 2) {
    const name = identity.fields[index] as string
    if (identity.user !== undefined && aliasOf(name.toLowerCase()) === 'x-auth-user') continue
    outgoing.push(name, identity.fields[index + 1] as string)
  }
  if (edits.names.size > 0) removeNamed(outgoing, start, edits.names)
}

/** Removes the fields of these names from `start` on. */
function removeNamed(fields: string[], start: number, names: ReadonlySet<string>): void {
  for (let index = fields.length - 2; index >= start; index -= 2) {
    if (names.has((fields[index] as string).toLowerCase())) fields.splice(index, 2)
  }
}

/** Percent-encodes all but visible ASCII, and `%` itself, so that no two users become the same text. */
function headerSafe(user: string): string {
  return /^[!-$&-~]*$/.test(user)
    ? user
    : user.toWellFormed().replace(/[^!-$&-~]/gu, encodeURIComponent)
}

/**
 * The fields of an upstream's answer for the client. Content-Length and Transfer-Encoding stay: the body is passed on in
 * its own framing, unless the caller makes another. A 426 keeps Upgrade, which it must have (RFC 9110 15.5.22).
 */
export function incomingFields(fields: Fields, edits: FieldEdits, status: number): string[] {
  if (status !== 426) return answerFields(fields, compiled(edits), bodyNames)
  const answer = answerFields(fields, compiled(edits), requiringNames)
  if (fieldValue(answer, 'upgrade') !== undefined) answer.push('Connection', 'Upgrade')
  return answer
}

/** The fields of a 101 for the client: with its Connection and Upgrade, without any framing, since it has no body (RFC 9110 8.6). */
export function switchingFields(fields: Fields, edits: FieldEdits): string[] {
  return answerFields(fields, compiled(edits), switchingNames)
}

const bodyNames: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding'])
const requiringNames: ReadonlySet<string> = new Set([...bodyNames, 'upgrade'])
const switchingNames: ReadonlySet<string> = new Set(['connection', 'upgrade'])

function answerFields(fields: Fields, edits: CompiledEdits, keep: ReadonlySet<string>): string[] {
  const named = namedByConnection(fields)
  const answer: string[] = []
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string
    const lower = name.toLowerCase()
    if (!keep.has(lower)) {
      if (hopByHop.has(lower) || bodyNames.has(lower)) continue
      if (edits.names.has(lower) || named?.has(aliasOf(lower)) === true) continue
    }
    answer.push(name, fields[index + 1] as string)
  }
  for (const part of edits.set) answer.push(part)
  return answer
}
