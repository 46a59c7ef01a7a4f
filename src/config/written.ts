/** Parts of a `Config` in the words of the file: its keys, durations such as `10m`, sizes such as `64KiB`, `off`. */

import type {
  ListenerAddress,
  BalanceConfig,
  HashKey,
  NamePattern,
  PathMatch,
  TokenSource,
  ValueMatch,
} from './config.ts'
import { formatAddress } from './network.ts'
import { formatDuration, formatSize } from './scalars.ts'
import { isCredentialName, MASK, shownText } from './secrets.ts'

/** What is shown as something else than it is: a secret, or what is no text. Two of them can be compared. */
class Opaque {
  readonly shown: string
  readonly value: unknown

  constructor(shown: string, value: unknown) {
    this.shown = shown
    this.value = value
  }
}

export type Written = string | Opaque | readonly Written[] | WrittenMap

export interface WrittenMap {
  readonly [key: string]: Written
}

/** What stands for a key that is not there. */
export const UNSET = new Opaque('unset', undefined)

/** Keys that say `off` where `Config` has nothing. */
const offKeys: ReadonlySet<string> = new Set([
  'admin',
  'allow',
  'forwarded',
  'keepalive',
  'origins',
  'rebalance',
])

const sizeKeys: ReadonlySet<string> = new Set(['bufferBytes', 'headBytesMax'])

/** Keys that have another name in the file, by the map they stand in; durations lose their unit besides. */
const fileKeys: ReadonlyMap<string, string> = new Map([
  ['listeners.headBytesMax', 'headBytes'],
  ['listeners.connectionsMax', 'connections'],
  ['match.hosts', 'host'],
  ['tls.handshakesMax', 'handshakes'],
])

/** `value` as it would be written at `key`, which is that of `Config`. The `name` and `identity` of a part are left out. */
export function written(key: string, value: unknown): Written {
  if (value === undefined) return offKeys.has(key) ? 'off' : UNSET
  if (typeof value === 'string') return writtenText(value, shownText(key, value))
  if (typeof value === 'number') return writtenNumber(key, value)
  if (typeof value === 'boolean') return writtenFlag(key, value)
  if (Array.isArray(value)) return writtenList(key, value)
  if (!(value instanceof Map)) {
    return writtenObject(key, value as Readonly<Record<string, unknown>>)
  }
  return key === 'claims' ? writtenClaims(value) : writtenConditions(value)
}

/** In one line, as between brackets in YAML; a secret is not shown. */
export function show(value: Written): string {
  if (typeof value === 'string') return value
  if (value instanceof Opaque) return value.shown
  if (isList(value)) return `[${value.map(show).join(', ')}]`
  const entries = Object.entries(value).filter(([, item]) => item !== UNSET)
  if (entries.length === 0) return '{}'
  return `{ ${entries.map(([key, item]) => `${key}: ${show(item)}`).join(', ')} }`
}

export function isMap(value: Written): value is WrittenMap {
  return typeof value === 'object' && !(value instanceof Opaque) && !isList(value)
}

function isList(value: Written): value is readonly Written[] {
  return Array.isArray(value)
}

function writtenText(value: string, shown: string): Written {
  return shown === value ? value : new Opaque(shown, value)
}

function writtenNumber(key: string, value: number): string {
  if (value === Infinity) return 'off'
  if (key === 'mode') return `0${value.toString(8)}`
  if (key.endsWith('Ms')) return formatDuration(value)
  if (sizeKeys.has(key)) return formatSize(value)
  return key === 'spread' ? `${Math.round(value * 100)}%` : String(value)
}

function writtenFlag(key: string, value: boolean): string {
  if (key === 'frames' || key === 'via') return value ? 'on' : 'off'
  return String(value)
}

function writtenList(key: string, items: readonly unknown[]): Written {
  if (key === 'set') return writtenFields(items as readonly (readonly [string, string])[])
  return items.map((item) => {
    if (!Array.isArray(item)) return written(key, item)
    // A group of checks, of which one has to pass.
    const names = item as readonly string[]
    return names.length === 1 ? String(names[0]) : { any: names }
  })
}

function writtenFields(fields: readonly (readonly [string, string])[]): WrittenMap {
  return Object.fromEntries(
    fields.map(([name, value]) => [
      name,
      writtenText(value, isCredentialName(name) ? MASK : value),
    ]),
  )
}

/** Text in quotes, since 1 and "1" are not the same here. */
function writtenClaims(claims: ReadonlyMap<string, readonly unknown[]>): WrittenMap {
  return Object.fromEntries(
    [...claims].map(([name, values]) => [name, values.map((value) => JSON.stringify(value))]),
  )
}

function writtenConditions(conditions: ReadonlyMap<string, ValueMatch>): WrittenMap {
  return Object.fromEntries(
    [...conditions].map(([name, condition]) => {
      const text = writtenKind(condition)
      const isText = condition.kind === 'equals' || condition.kind === 'regex'
      return [name, isText && isCredentialName(name) ? new Opaque(MASK, show(text)) : text]
    }),
  )
}

function writtenObject(key: string, value: Readonly<Record<string, unknown>>): Written {
  if ('kind' in value) return writtenKind(value as unknown as Kind)
  if ('policy' in value) return writtenBalance(value as unknown as BalanceConfig)
  if ('in' in value) return writtenSource(value as unknown as TokenSource)
  const entries = Object.entries(value).flatMap(([own, item]): [string, Written][] => {
    if (own === 'name' || own === 'identity') return []
    // The reasons stand beside the timeout.
    if (key === 'close' && own === 'frames') return Object.entries(written(own, item))
    return [[fileKeys.get(`${key}.${own}`) ?? own.replace(/Ms$/, ''), written(own, item)]]
  })
  return Object.fromEntries(entries)
}

type Kind =
  | ListenerAddress
  | { readonly kind: 'builtin'; readonly name: 'echo' }
  | PathMatch
  | ValueMatch
  | NamePattern

function writtenKind(value: Kind): Written {
  switch (value.kind) {
    case 'tcp':
    case 'unix':
    case 'systemd':
      return formatAddress(value)
    case 'builtin':
      return `builtin:${value.name}`
    case 'prefix':
      return value.path
    case 'exact':
      return { exact: value.path }
    case 'regex':
      return { regex: value.regex }
    case 'glob':
      return value.glob
    case 'equals':
      return value.value
    case 'present':
      return new Opaque('present', true)
    case 'absent':
      return new Opaque('absent', false)
  }
}

function writtenBalance(value: BalanceConfig): Written {
  return value.policy === 'hash' ? { hash: writtenHashKey(value.key) } : value.policy
}

function writtenHashKey(key: HashKey): string {
  return 'name' in key ? `${key.by}:${key.name}` : key.by
}

function writtenSource(source: TokenSource): string {
  const isBearer = source.in === 'header' && source.name === 'Authorization'
  return isBearer ? 'header' : `${source.in}:${source.name}`
}
