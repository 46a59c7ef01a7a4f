/** Writes the head of the request that goes to an endpoint. */

import type { Fields } from '../errors.ts'

/**
 * `fields` hold no hop-by-hop field; ours go behind them: `Connection: Upgrade` and the tokens that may be upgraded to,
 * in the client's order (RFC 9110 7.8).
 */
export function upgradeRequestHead(
  method: string,
  target: string,
  fields: Fields,
  tokens: readonly string[],
): string {
  let head = `${method} ${target} HTTP/1.1\r\n`
  for (let index = 0; index < fields.length; index += 2) {
    head += `${fields[index]}: ${fields[index + 1]}\r\n`
  }
  return `${head}Connection: Upgrade\r\nUpgrade: ${tokens.join(', ')}\r\n\r\n`
}
