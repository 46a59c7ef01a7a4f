/** How an address is shown to people. */

import type { Address } from '../config/config.ts'

/** A URL that can be opened on this machine: the wildcard addresses are no place to go to. With `tls` it is https. */
export function urlOf(address: Address, tls: object | undefined): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const isWildcard = address.host === '0.0.0.0' || address.host === '::'
  const host = isWildcard ? 'localhost' : address.host
  const scheme = tls === undefined ? 'http' : 'https'
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${address.port}/`
}
