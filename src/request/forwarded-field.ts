/**
 * The grammar of Forwarded (RFC 7239 4 and 6): a line to its elements, and elements to a line. It takes blanks around `;`,
 * which many write and nobody can misread, and parameters of other names, which do not go on. Everything else is as the
 * RFC has it: IPv6 in brackets, and in quotes what is no token.
 */

import { plainAddress } from './address-set.ts'
import { parseAuthority } from './authority.ts'

/** A node of the chain (RFC 7239 6). */
export interface ForwardedNode {
  /** A plain address, `unknown`, or an obfuscated name, which begins with `_`. */
  readonly name: string
  /** Digits, or an obfuscated one, which begins with `_`. */
  readonly port: string | undefined
}

/** What one proxy says of the request that it got. */
export interface ForwardedElement {
  /** `unknown` where it is left out: somebody was there. */
  readonly for: ForwardedNode
  readonly by: ForwardedNode | undefined
  /** A valid Host. */
  readonly host: string | undefined
  /** Undefined for other schemes too. */
  readonly proto: 'http' | 'https' | undefined
}

/** More than any chain of proxies has. */
export const ELEMENTS_MAX = 64
const LINE_CHARS_MAX = 8192

export const unknownNode: ForwardedNode = Object.freeze({ name: 'unknown', port: undefined })

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** token "=" ( token / quoted-string ), RFC 9110 5.6.4. */
const PAIR =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)")/y
const BLANKS = /[\t ]*/y
const NODE = /^([\d.]+|\[[\d:.a-f]+\]|unknown|_[\w.-]+)(?::(\d{1,5}|_[\w.-]+))?$/i
const PORT_MAX = 65_535
/** RFC 3986 3.1. */
const SCHEME = /^[a-z][a-z\d+.-]*$/i

/** The elements of one field line, at most `ELEMENTS_MAX`, or what is wrong with it, without a word of its values. */
export function parseForwarded(line: string): ForwardedElement[] | string {
  if (line.length > LINE_CHARS_MAX) return `more than ${LINE_CHARS_MAX} characters`
  const elements: ForwardedElement[] = []
  for (let at = 0; at <= line.length;) {
    const read = readPairs(line, at)
    if (typeof read === 'string') return read
    at = read.end + 1
    // An empty item of a list is none (RFC 9110 5.6.1.2).
    if (read.isEmpty) continue
    const element = elementOf(read.values)
    if (typeof element === 'string') return `${element} before character ${at}`
    if (elements.length === ELEMENTS_MAX) return `more than ${ELEMENTS_MAX} elements`
    elements.push(element)
  }
  return elements
}

interface Pairs {
  /** By lower-case name. */
  readonly values: ReadonlyMap<string, string>
  readonly isEmpty: boolean
  /** Where the comma is, or the end of the line. */
  readonly end: number
}

/** The pairs of one element, from `start` on. */
function readPairs(line: string, start: number): Pairs | string {
  const values = new Map<string, string>()
  for (let at = start, isEmpty = true; ; at += 1, isEmpty = false) {
    at = matchAt(BLANKS, line, at).end
    const { match, end } = matchAt(PAIR, line, at)
    if (match !== null) {
      const [, name = '', token, quoted = ''] = match
      const lower = name.toLowerCase()
      if (values.has(lower)) return `a second parameter of the same name at character ${at + 1}`
      values.set(lower, token ?? quoted.replace(/\\(.)/g, '$1'))
      isEmpty = false
      at = matchAt(BLANKS, line, end).end
    }
    if (at === line.length || line[at] === ',') return { values, isEmpty, end: at }
    if (line[at] !== ';') return `what begins at character ${at + 1} is neither name=value nor ;`
  }
}

/** `end` is `at` where nothing matches. */
function matchAt(
  pattern: RegExp,
  line: string,
  at: number,
): { readonly match: RegExpExecArray | null; readonly end: number } {
  pattern.lastIndex = at
  const match = pattern.exec(line)
  return { match, end: match === null ? at : pattern.lastIndex }
}

function elementOf(values: ReadonlyMap<string, string>): ForwardedElement | string {
  const client = parsedBy(parseNode, values.get('for'))
  const by = parsedBy(parseNode, values.get('by'))
  // A request of HTTP/1.0, and one to a unix socket, may have no host: some proxies say so.
  const host = parsedBy(
    (text) => (text === '' ? text : parseAuthority(text)?.text),
    values.get('host'),
  )
  const scheme = parsedBy((text) => (SCHEME.test(text) ? text : undefined), values.get('proto'))
  if (client === null) return 'a for that is no node'
  if (by === null) return 'a by that is no node'
  if (host === null) return 'a host that is none'
  if (scheme === null) return 'a proto that is no scheme'
  return {
    for: client ?? unknownNode,
    by,
    host: host === '' ? undefined : host,
    proto: scheme === undefined ? undefined : parseProto(scheme),
  }
}

/** Undefined for undefined, null for what is not valid. */
function parsedBy<Value>(
  parse: (text: string) => Value | undefined,
  text: string | undefined,
): Value | undefined | null {
  return text === undefined ? undefined : (parse(text) ?? null)
}

/** One node without quotes, e.g. `192.0.2.1:80`, `[2001:db8::1]`, `unknown`, `_hidden:_port`. */
export function parseNode(text: string): ForwardedNode | undefined {
  const [, raw, port] = NODE.exec(text) ?? []
  if (raw === undefined || Number(port) > PORT_MAX) return undefined
  const name = raw.startsWith('_') ? raw : raw.toLowerCase()
  const plain = name === 'unknown' || name.startsWith('_') ? name : plainAddress(name)
  return plain === undefined ? undefined : { name: plain, port }
}

/** The address of a node, if it tells one. */
export function addressOfNode({ name }: ForwardedNode): string | undefined {
  return name === 'unknown' || name.startsWith('_') ? undefined : name
}

/** Some proxies write ws and wss for tunnels; upstreams know http and https alone. */
export function parseProto(item: string): 'http' | 'https' | undefined {
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

/** One line that has these elements. */
export function formatForwarded(elements: readonly ForwardedElement[]): string {
  return elements.map(formatElement).join(', ')
}

function formatElement({ for: client, by, host, proto }: ForwardedElement): string {
  let text = `for=${formatValue(formatNode(client))}`
  if (by !== undefined) text += `;by=${formatValue(formatNode(by))}`
  if (host !== undefined) text += `;host=${formatValue(host)}`
  if (proto !== undefined) text += `;proto=${proto}`
  return text
}

function formatNode({ name, port }: ForwardedNode): string {
  const host = name.includes(':') ? `[${name}]` : name
  return port === undefined ? host : `${host}:${port}`
}

/** Nodes and hosts have neither quotes nor backslashes: there is nothing to escape. */
function formatValue(text: string): string {
  return TOKEN.test(text) ? text : `"${text}"`
}
