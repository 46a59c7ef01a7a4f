/**
 * What trusted proxies say of a client, and what goes on of it. Nothing of it counts from anyone else, since every client
 * can send these fields.
 *
 *     X-Forwarded-For: spoofed, client, proxy-1   <- proxy-2 is the peer
 *                      stop <-  found <- trusted <- trusted
 *
 * Two families of fields say the same: X-Forwarded-*, and Forwarded (RFC 7239). One of them is read, never both: a proxy
 * sets the one that it knows and passes the other one on as the client sent it.
 */

import { isIPv4 } from 'node:net'
import type { ForwardedConfig } from '../config/config.ts'
import { Refusal, type Fields } from '../errors.ts'
import { plainAddress, type AddressSet } from './address-set.ts'
import { parseAuthority, type Authority } from './authority.ts'
import {
  addressOfNode,
  ELEMENTS_MAX,
  formatForwarded,
  parseForwarded,
  parseNode,
  parseProto,
  unknownNode,
  type ForwardedElement,
} from './forwarded-field.ts'
import { fieldValues, listItems } from './headers.ts'

/** What both families say for the upstream. */
export interface Forwarded {
  /** X-Forwarded-For: the hops so far, the peer last; empty where none has an address. */
  readonly for: string
  readonly proto: 'http' | 'https'
  readonly host: string
  readonly port: string
  /** The value of Forwarded: the same hops, host, port and proto. Undefined where it is not written. */
  readonly field: string | undefined
  /** Which family was read, and which ones are written. Undefined: X-Forwarded-* both times. */
  readonly policy: ForwardedConfig | undefined
}

/** Who is believed, and about what; and who the gateway is itself. */
export interface Trust {
  readonly trusted: AddressSet
  readonly forwarded: ForwardedConfig | undefined
  /** The gateway's own name in Via; undefined where it writes none. */
  readonly pseudonym?: string | undefined
}

/** More proxies than any chain has. */
const HOPS_MAX = ELEMENTS_MAX

export interface FoundClient {
  readonly clientIp: string
  /** The hop that tells of the client; all to the right of it are trusted proxies' words. The number of hops if there is none. */
  readonly at: number
}

/**
 * The client, from right to left: the first hop that is not trusted. What is no address ends the walk too, with the
 * address of the hop before it: the last one that is known. `peer` is a plain address and trusted.
 */
export function findClient<Hop>(
  hops: readonly Hop[],
  addressOf: (hop: Hop) => string | undefined,
  peer: string,
  trusted: AddressSet,
): FoundClient {
  let clientIp = peer
  let at = hops.length
  const last = Math.max(0, hops.length - HOPS_MAX)
  while (at > last) {
    at -= 1
    const address = addressOf(hops[at] as Hop)
    if (address === undefined) break
    clientIp = address
    if (!trusted.has(address)) break
  }
  return { clientIp, at }
}

/** One hop of X-Forwarded-For: an address, or with a port as `1.2.3.4:80` and `[::1]:80`. */
export function hopAddress(hop: string): string | undefined {
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
  readonly authority: Authority
  readonly localPort: number | undefined
}

export function ownForwarded(own: OwnForwarded, policy: ForwardedConfig | undefined): Forwarded {
  return continued(nothingTold, own, policy)
}

export interface TrustedForwarded {
  readonly forwarded: Forwarded
  /** What the proxy's own client has asked for, if it says so. */
  readonly authority: Authority | undefined
  readonly clientIp: string
}

/** Continues what the trusted peer sent. Refuses with E_FORWARDED_INVALID. */
export function trustedForwarded(
  fields: Fields,
  own: OwnForwarded,
  { trusted, forwarded: policy }: Trust,
): TrustedForwarded | Refusal {
  const read = policy?.read === 'forwarded' ? readForwarded : readXForwarded
  const told = read(fields, own.peer, trusted)
  if (told instanceof Refusal) return told
  const { authority, client } = told
  return { forwarded: continued(told, own, policy), authority, clientIp: client.clientIp }
}

interface Told {
  readonly client: FoundClient
  /** Without the peer: those of X-Forwarded-For as they came, or the elements of Forwarded. */
  readonly hops: readonly (string | ForwardedElement)[]
  readonly proto: 'http' | 'https' | undefined
  readonly authority: Authority | undefined
  readonly port: number | undefined
}

const nothingTold: Told = {
  client: { clientIp: '', at: 0 },
  hops: [],
  proto: undefined,
  authority: undefined,
  port: undefined,
}

/** Of several values the first valid one counts: it is nearest to the client. */
function readXForwarded(fields: Fields, peer: string, trusted: AddressSet): Told {
  const hops = listItems(fieldValues(fields, 'x-forwarded-for'))
  return {
    client: findClient(hops, hopAddress, peer, trusted),
    hops,
    proto: firstValid(fields, 'x-forwarded-proto', parseProto),
    authority: firstValid(fields, 'x-forwarded-host', parseAuthority),
    port: firstValid(fields, 'x-forwarded-port', parsePort),
  }
}

/** Takes the place of a line that is not valid. */
const brokenLine: ForwardedElement = Object.freeze({
  for: unknownNode,
  by: undefined,
  host: undefined,
  proto: undefined,
})

/**
 * Each proxy appends, so a client can send elements too, but they stand to the left of the one that tells of it: there the
 * walk ends, and host and proto are those of that element, or of the nearest one behind it. A line that is not valid
 * matters when the walk comes to it. The request is refused then: without that line it would count as the proxy's
 * own, which allow lists often let in.
 */
function readForwarded(fields: Fields, peer: string, trusted: AddressSet): Told | Refusal {
  const lines = fieldValues(fields, 'forwarded')
  let hops: ForwardedElement[] = []
  let problem = ''
  for (let index = lines.length - 1; index >= 0 && hops.length < HOPS_MAX; index -= 1) {
    const parsed = parseForwarded(lines[index] as string)
    if (typeof parsed === 'string') {
      problem = parsed
      hops = [brokenLine, ...hops]
      break
    }
    hops = [...parsed, ...hops]
  }
  hops = hops.slice(-HOPS_MAX)
  const client = findClient(hops, (hop) => addressOfNode(hop.for), peer, trusted)
  if (hops[client.at] === brokenLine) {
    return new Refusal('E_FORWARDED_INVALID', { cause: `Forwarded: ${problem}` })
  }
  const told = hops.slice(client.at)
  const host = told.find((hop) => hop.host !== undefined)?.host
  return {
    client,
    hops,
    proto: told.find((hop) => hop.proto !== undefined)?.proto,
    authority: host === undefined ? undefined : parseAuthority(host),
    port: undefined,
  }
}

function continued(told: Told, own: OwnForwarded, policy: ForwardedConfig | undefined): Forwarded {
  const proto = told.proto ?? own.proto
  const authority = told.authority ?? own.authority
  if (policy !== undefined && policy.write !== 'x-forwarded') {
    return { ...oneStory(told, own.peer, authority, proto), policy }
  }
  const port =
    told.port ??
    told.authority?.port ??
    (told.proto === undefined ? own.localPort : undefined) ??
    defaultPort(proto)
  const hops = told.hops.map((hop) => (typeof hop === 'string' ? hop : hopText(hop)))
  if (own.peer !== '') hops.push(own.peer)
  const host = authority.text
  return { for: hops.join(', '), proto, host, port: String(port), field: undefined, policy }
}

/**
 * Both families out of one chain. Host and proto stand once, in the element that tells of the client: whichever element
 * an upstream looks at, it finds no other ones. A port has no place in Forwarded but in the host, so it is that of the
 * host in X-Forwarded-Port too, and never the listener's.
 */
function oneStory(
  { client, hops, port: toldPort }: Told,
  peer: string,
  authority: Authority,
  proto: 'http' | 'https',
): Omit<Forwarded, 'policy'> {
  const left = Math.max(0, hops.length - HOPS_MAX)
  const chain = hops.slice(left).map(elementOf)
  if (peer !== '') chain.push({ ...brokenLine, for: { name: peer, port: undefined } })
  const port = toldPort ?? authority.port ?? defaultPort(proto)
  const host = withPort(authority, port, proto)
  const line = chain.length === 0 ? [brokenLine] : chain
  return {
    for: chain.map(hopText).join(', '),
    proto,
    host,
    port: String(port),
    field: formatForwarded(
      line.map((element, index) => {
        const isClient = index === client.at - left
        return {
          ...element,
          host: isClient && host !== '' ? host : undefined,
          proto: isClient ? proto : undefined,
        }
      }),
    ),
  }
}

function elementOf(hop: string | ForwardedElement): ForwardedElement {
  if (typeof hop !== 'string') return hop
  const address = hopAddress(hop)
  const node = address === undefined ? parseNode(hop) : { name: address, port: undefined }
  return { ...brokenLine, for: node ?? unknownNode }
}

/** X-Forwarded-For has but one word for who is not told. */
function hopText({ for: node }: ForwardedElement): string {
  return addressOfNode(node) ?? unknownNode.name
}

function withPort({ text, port: own }: Authority, port: number, proto: 'http' | 'https'): string {
  if (text === '' || own === port) return text
  const name = text.replace(/:\d*$/, '')
  return port === defaultPort(proto) ? name : `${name}:${port}`
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

function parsePort(item: string): number | undefined {
  const port = /^\d{1,5}$/.test(item) ? Number(item) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

function defaultPort(proto: 'http' | 'https'): number {
  return proto === 'https' ? 443 : 80
}
