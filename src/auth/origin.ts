/**
 * A route's `origins`: pages that may open tunnels. Browsers let every page open a WebSocket to every host, with the
 * user's cookies, and only tell the page's origin along.
 */

import { Refusal } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { fieldValues } from '../request/headers.ts'

const CAUSE_CHARS_MAX = 200

const defaultPorts: Readonly<Record<string, string>> = {
  http: '80',
  https: '443',
  ws: '80',
  wss: '443',
}

const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/(\[[0-9a-f:.]+\]|[^\s/?#@:\\,[\]]+)(?::(\d{1,5}))?$/

/** The origins as a set of their normal forms. */
export function compileOrigins(origins: readonly string[]): ReadonlySet<string> {
  return new Set(origins.map((origin) => normalOrigin(origin) ?? origin))
}

/** E_ORIGIN_DENIED unless there is exactly one Origin field and it is one of `allowed`. For upgrade requests alone. */
export function checkOrigin(
  allowed: ReadonlySet<string>,
  facts: RequestFacts,
): Refusal | undefined {
  const values = fieldValues(facts.fields, 'origin')
  const origin = values[0]
  if (origin === undefined) return denied('no Origin')
  if (values.length > 1) return denied('several Origin fields')
  if (allowsOrigin(allowed, origin)) return undefined
  return denied(`Origin ${origin.slice(0, CAUSE_CHARS_MAX)}`)
}

/** `allowed` is of `compileOrigins`. */
export function allowsOrigin(allowed: ReadonlySet<string>, origin: string): boolean {
  if (allowed.has(origin)) return true
  const normal = normalOrigin(origin)
  return normal !== undefined && allowed.has(normal)
}

function denied(cause: string): Refusal {
  return new Refusal('E_ORIGIN_DENIED', { cause })
}

/**
 * RFC 6454 6.2, scheme and host in lower case, without a default port. Undefined for what is no serialised origin; it is
 * never repaired, as a URL parser would.
 */
function normalOrigin(origin: string): string | undefined {
  const [, scheme, host, port] = ORIGIN.exec(origin.toLowerCase()) ?? []
  if (scheme === undefined || host === undefined) return undefined
  return port === undefined || defaultPorts[scheme] === port
    ? `${scheme}://${host}`
    : `${scheme}://${host}:${port}`
}
