/**
 * What trusted proxies say of a client. Nothing of it counts from anyone else, since every client can send these fields.
 *
 *     X-Forwarded-For: spoofed, client, proxy-1   <- proxy-2 is the peer
 *                      stop <-  found <- trusted <- trusted
 */

import { isIPv4 } from 'node:net'
import type { Fields } from '../errors.ts'
import { plainAddress, type AddressSet } from './address-set.ts'
import { parseAuthority, type Authority } from './authority.ts'
import { fieldValues, listItems } from './headers.ts'

/** Values of X-Forwarded-For, -Proto, -Host and -Port for the upstream. */
export interface Forwarded {
  /** The hops so far, the peer last; empty where none has an address. */
  readonly for: string
  readonly proto: 'http' | 'https'
  readonly host: string
  readonly port: string
}

/** More proxies than any chain has. */
const HOPS_MAX = 64

/**
 * The client's address, from right to left through all X-Forwarded-For lines: the first hop that is not trusted. What is
 * no address ends the walk at the hop before it. `peer` is a plain address and trusted.
 */
export function clientAddress(hops: readonly string[], peer: string, trusted: AddressSet): string {
  let client = peer
  const last = Math.max(0, hops.length - HOPS_MAX)
  for (let index = hops.length - 1; index >= last; index -= 1) {
    const address = hopAddress(hops[index] as string)
    if (address === undefined) return client
    client = address
    if (!trusted.has(address)) return client
  }
  return client
}

/** One hop: an address, or with a port as `1.2.3.4:80` and `[::1]:80`. */
function hopAddress(hop: string): string | undefined {
  const plain = plainAddress(hop)
  if (plain !== undefined) return plain
  const port = /:\d{1,5}$/.exec(hop)
  if (port === null) return undefined
  const host = hop.slice(0, port.index)
  return isIPv4(host) || host.startsWith('[') ? plainAddress(host) : undefined
}

/** The parts of a request's own connection, which count where no trusted proxy says otherwise. */
export interface OwnForwarded {
  readonly peer: string
  readonly proto: 'http' | 'https'
  readonly authority: string
  readonly localPort: number | undefined
}

export function ownForwarded({ peer, proto, authority, localPort }: OwnForwarded): Forwarded {
  return { for: peer, proto, host: authority, port: String(localPort ?? defaultPort(proto)) }
}

export interface TrustedForwarded {
  readonly forwarded: Forwarded
  /** Of X-Forwarded-Host, which the proxy's own client has asked for. */
  readonly authority: Authority | undefined
  readonly clientIp: string
}

/** Continues what the trusted peer sent. Of several values the first valid one counts: it is nearest to the client. */
export function trustedForwarded(
  fields: Fields,
  own: OwnForwarded,
  trusted: AddressSet,
): TrustedForwarded {
  const hops = listItems(fieldValues(fields, 'x-forwarded-for'))
  const proto = firstValid(fields, 'x-forwarded-proto', parseProto)
  const authority = firstValid(fields, 'x-forwarded-host', parseAuthority)
  const port = firstValid(fields, 'x-forwarded-port', parsePort) ?? authority?.port
  return {
    clientIp: clientAddress(hops, own.peer, trusted),
    authority,
    forwarded: {
      for: (own.peer === '' ? hops : [...hops, own.peer]).join(', '),
      proto: proto ?? own.proto,
      host: authority?.text ?? own.authority,
      port: String(
        port ??
          (proto === undefined ? own.localPort : undefined) ??
          defaultPort(proto ?? own.proto),
      ),
    },
  }
}

function firstValid<Value>(
  fields: Fields,
  lowerName: string,
  parse: (item: string) => Value | undefined,
): Value | undefined {
  for (const item of listItems(fieldValues(fields, lowerName))) {
    const value = parse(item)
    if (value !== undefined) return value
  }
  return undefined
}

/** Some proxies write ws and wss for tunnels; upstreams know http and https alone. */
function parseProto(item: string): 'http' | 'https' | undefined {
  switch (item.toLowerCase()) {
    case 'http':
    case 'ws':
      return 'http'
    case 'https':
    case 'wss':
      return 'https'
    default:
      return undefined
  }
}

function parsePort(item: string): number | undefined {
  const port = /^\d{1,5}$/.test(item) ? Number(item) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

function defaultPort(proto: 'http' | 'https'): number {
  return proto === 'https' ? 443 : 80
}
