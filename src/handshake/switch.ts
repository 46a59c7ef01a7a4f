/** Decides whether a 101 may be passed on: what was switched to must be what was asked for. */

import { hash } from 'node:crypto'
import { fieldValues, listItems } from '../request/headers.ts'
import type { ResponseHead } from '../http1/response-head.ts'

/** RFC 6455 1.3 */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The value of Sec-WebSocket-Accept that proves an upstream has read `key` (RFC 6455 4.2.2). */
export function websocketAccept(key: string): string {
  return hash('sha1', key + WEBSOCKET_GUID, 'base64')
}

/** RFC 2817 3.3: HTTP goes on inside, and servers say so. CUPS names all versions of TLS, whichever was asked for. */
const TOLD_WITH_TLS = /^(?:tls|http)\/1\.\d$/

export type Switched = { readonly protocol: string } | { readonly wrong: string }

/**
 * Checks a 101 against what was asked: its Connection lists `upgrade`, each protocol of its Upgrade is one of `tokens`
 * (RFC 9110 7.8: a server must not switch to one that was not asked for) or told beside TLS, and for `websocket` the accept
 * value is right.
 */
export function checkSwitch(
  head: ResponseHead,
  tokens: readonly string[],
  websocketKey: string | undefined,
): Switched {
  const connection = listItems(fieldValues(head.fields, 'connection'))
  if (!connection.some((option) => option.toLowerCase() === 'upgrade')) {
    return { wrong: 'a 101 without Connection: Upgrade' }
  }
  const granted = listItems(fieldValues(head.fields, 'upgrade')).map((item) => item.toLowerCase())
  if (granted.length === 0) return { wrong: 'a 101 without Upgrade' }
  const asked = new Set(tokens.map((token) => token.toLowerCase()))
  const protocol = granted.find((item) => asked.has(item))
  const more = protocol?.startsWith('tls/') ? TOLD_WITH_TLS : undefined
  const stranger = granted.find((item) => !asked.has(item) && more?.test(item) !== true)
  if (protocol === undefined || stranger !== undefined)
    return { wrong: `a 101 to ${JSON.stringify(stranger)}, which was not asked for` }
  if (granted.includes('websocket')) {
    const accept = fieldValues(head.fields, 'sec-websocket-accept')
    if (
      websocketKey === undefined ||
      accept.length !== 1 ||
      accept[0] !== websocketAccept(websocketKey)
    ) {
      return { wrong: 'a 101 with a wrong Sec-WebSocket-Accept' }
    }
  }
  return { protocol }
}
