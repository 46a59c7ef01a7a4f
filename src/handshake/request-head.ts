/** Writes the head of the request that goes to an endpoint. */

import type { Fields } from '../errors.ts'

const SETTINGS = 'http2-settings'

/**
 * `fields` hold no hop-by-hop field; ours go behind them: `Connection: Upgrade` and the tokens that may be upgraded to,
 * in the client's order (RFC 9110 7.8). HTTP2-Settings, which is among `fields` only for h2c, is named by Connection as
 * RFC 7540 3.2.1 asks.
 */
export function upgradeRequestHead(
  method: string,
  target: string,
  fields: Fields,
  tokens: readonly string[],
): string {
  let head = `${method} ${target} HTTP/1.1\r\n`
  let options = 'Upgrade'
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (name.length === SETTINGS.length && name.toLowerCase() === SETTINGS)
      options = `Upgrade, ${name}`
    head += `${name}: ${fields[index + 1]}\r\n`
  }
  return `${head}Connection: ${options}\r\nUpgrade: ${tokens.join(', ')}\r\n\r\n`
}
