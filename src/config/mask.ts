/** The configuration as plain JSON for people who may look at it, but need not know its secrets. */

import type { Config, ValueMatch } from './config.ts'
import { isCredentialName, MASK, shownText } from './secrets.ts'

type Plain = null | boolean | number | string | readonly Plain[] | PlainMap

export interface PlainMap {
  readonly [key: string]: Plain
}

/**
 * Keys are those of `Config`: durations in milliseconds, sizes in bytes, files as absolute paths. Maps are objects,
 * `Infinity` is `off`, what is not set is null, and `***` stands for secrets and credentials.
 */
export function maskConfig(config: Config): PlainMap {
  return maskEntries(Object.entries(config))
}

function maskEntries(entries: Iterable<readonly [string, unknown]>): PlainMap {
  return Object.fromEntries(Array.from(entries, ([key, value]) => [key, mask(key, value)]))
}

function mask(key: string, value: unknown): Plain {
  if (value === undefined || value === null) return null
  if (value === Infinity) return 'off'
  if (typeof value === 'string') return shownText(key, value)
  if (typeof value !== 'object') return value as number | boolean
  if (Array.isArray(value)) {
    return value.map((item: unknown) => (key === 'set' ? maskField(item) : mask(key, item)))
  }
  if (!(value instanceof Map)) return maskEntries(Object.entries(value))
  const entries = [...(value as ReadonlyMap<string, unknown>)]
  return key === 'headers' || key === 'query'
    ? maskEntries(entries.map(([name, wanted]) => [name, maskCondition(name, wanted)]))
    : maskEntries(entries)
}

function maskField(item: unknown): Plain {
  const [name, value] = item as readonly [string, string]
  return [name, isCredentialName(name) ? MASK : value]
}

function maskCondition(name: string, condition: unknown): ValueMatch {
  const match = condition as ValueMatch
  if (!isCredentialName(name)) return match
  if (match.kind === 'equals') return { ...match, value: MASK }
  return match.kind === 'regex' ? { ...match, regex: MASK } : match
}
