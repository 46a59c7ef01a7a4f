/** What a reload would change, as data and in words, with the keys of the file. Secrets are told to differ, and not shown. */

import type { Config, EndpointConfig, ListenerConfig, UpstreamConfig } from './config.ts'
import { formatAddress } from './network.ts'
import { formatPath } from './problem.ts'
import type { Path } from './problem.ts'
import { atOnce } from '../slices.ts'
import type { Work } from '../slices.ts'
import { sameConfig } from './same.ts'
import { isMap, show, UNSET, written } from './written.ts'
import type { Written } from './written.ts'

/** `key` is as in the file, below its part, e.g. `timeouts.idle`; the values are as written there, e.g. `10m`. */
interface KeyChange {
  readonly key: string
  readonly from: string
  readonly to: string
}

interface ChangedPart {
  readonly name: string
  readonly keys: readonly KeyChange[]
}

/** By their names, those of `added` and `changed` in the order of the new file. */
interface PartsDiff<Changed = ChangedPart> {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly Changed[]
}

/** Places count from 1. */
interface MovedRoute {
  readonly name: string
  readonly from: number
  readonly to: number
}

interface RoutesDiff extends PartsDiff {
  /** As few as explain the new order; the others keep theirs among each other. */
  readonly moved: readonly MovedRoute[]
}

interface ChangedUpstream extends ChangedPart {
  /** By their URLs. */
  readonly endpoints: PartsDiff
}

export interface ConfigDiff {
  readonly routes: RoutesDiff
  readonly upstreams: PartsDiff<ChangedUpstream>
  readonly auth: PartsDiff
  /** By their addresses. */
  readonly listeners: PartsDiff
  /** Of all that has no name: `admin`, `log`, `trustedProxies`, `forwarded`, `via`, `shutdown`, `reload`, `relay`. */
  readonly settings: readonly KeyChange[]
  /** Keys among `settings` that a reload cannot change, and those of listeners behind their addresses. */
  readonly needsRestart: readonly string[]
}

/** They are given to what lives as long as the process: the relay and its threads, the stream of the log. */
const restartKeys: ReadonlySet<string> = new Set([
  'relay.engine',
  'relay.threads',
  'relay.bufferBytes',
  'log.format',
])

/** Of listeners: they are given to the kernel when the address is bound. */
const bindKeys: ReadonlySet<string> = new Set(['backlog', 'reusePort', 'ipv6Only', 'mode', 'owner'])

const namedParts: ReadonlySet<string> = new Set(['listeners', 'upstreams', 'auth', 'routes'])

export function* diffConfigs(running: Config, next: Config): Work<ConfigDiff> {
  const settings = keyChanges([], written('', settingsOf(running)), written('', settingsOf(next)))
  const routes = yield* diffNamed('routes', byIdentity(running.routes), byIdentity(next.routes))
  const moved = movedRoutes(running.routes, next.routes)
  const upstreams = yield* diffParts(
    byIdentity(running.upstreams.values()),
    byIdentity(next.upstreams.values()),
    changedUpstream,
  )
  const auth = yield* diffNamed('auth', byName(running.auth), byName(next.auth))
  const listeners = yield* diffNamed(
    'listeners',
    byAddress(running.listeners),
    byAddress(next.listeners),
  )
  return {
    routes: { ...routes, moved },
    upstreams,
    auth,
    listeners,
    settings,
    needsRestart: [
      ...settings.map(({ key }) => key).filter((key) => restartKeys.has(key)),
      ...listeners.changed.flatMap(({ name, keys }) =>
        keys.filter(({ key }) => bindKeys.has(key)).map(({ key }) => `listener ${name}: ${key}`),
      ),
    ],
  }
}

/** One line for each change, such as `route chat: timeouts.idle: 10m -> 1h`. */
export function diffLines({
  routes,
  upstreams,
  auth,
  listeners,
  settings,
  needsRestart,
}: ConfigDiff): string[] {
  return [
    ...partLines('listener', listeners),
    ...partLines('upstream', upstreams, ({ name, endpoints }) =>
      partLines(`upstream ${name}: endpoint`, endpoints),
    ),
    ...partLines('auth', auth),
    ...partLines('route', routes),
    ...routes.moved.map(({ name, from, to }) => `route ${name}: moved from place ${from} to ${to}`),
    ...settings.map(
      (change) => keyLine(change) + (needsRestart.includes(change.key) ? ' (needs a restart)' : ''),
    ),
  ]
}

function partLines<Changed extends ChangedPart>(
  what: string,
  { added, removed, changed }: PartsDiff<Changed>,
  more: (part: Changed) => string[] = () => [],
): string[] {
  return [
    ...removed.map((name) => `${what} ${name}: removed`),
    ...added.map((name) => `${what} ${name}: added`),
    ...changed.flatMap((part) => [
      ...part.keys.map((change) => {
        const isFixed = what === 'listener' && bindKeys.has(change.key)
        return `${what} ${part.name}: ${keyLine(change)}${isFixed ? ' (needs a restart)' : ''}`
      }),
      ...more(part),
    ]),
  ]
}

function keyLine({ key, from, to }: KeyChange): string {
  return `${key}: ${from} -> ${to}`
}

function settingsOf(config: Config): Readonly<Record<string, unknown>> {
  // Neither the place of the file nor what was warned of is a setting.
  const { file: _file, warnings: _warnings, ...rest } = config
  return Object.fromEntries(Object.entries(rest).filter(([key]) => !namedParts.has(key)))
}

interface Named<Part> {
  readonly name: string
  readonly part: Part
}

/** By what says that two of them are the same one. */
type NamedParts<Part> = ReadonlyMap<string, Named<Part>>

function byIdentity<Part extends { readonly name: string; readonly identity: string }>(
  parts: Iterable<Part>,
): NamedParts<Part> {
  return new Map(Array.from(parts, (part) => [part.identity, { name: part.name, part: own(part) }]))
}

/** Without a name its label says where it stands, and so does that of an upstream in place: neither is a change of it. */
function own<Part extends { readonly name: string; readonly identity: string }>(part: Part): Part {
  if (part.name === part.identity) return part
  return 'upstream' in part ? { ...part, name: '', upstream: '' } : { ...part, name: '' }
}

function byName<Part>(parts: ReadonlyMap<string, Part>): NamedParts<Part> {
  return new Map(Array.from(parts, ([name, part]) => [name, { name, part }]))
}

/** With port 0 one address may be there several times; then they count as second, third and so on. */
function byAddress(listeners: readonly ListenerConfig[]): NamedParts<ListenerConfig> {
  const found = new Map<string, ListenerConfig>()
  const counts = new Map<string, number>()
  for (const listener of listeners) {
    const address = formatAddress(listener.address)
    const count = (counts.get(address) ?? 0) + 1
    counts.set(address, count)
    found.set(count === 1 ? address : `${address} (${count})`, listener)
  }
  return byName(found)
}

/** `change` gets the old and the new part of a name where they differ. */
function* diffParts<Part, Changed>(
  running: NamedParts<Part>,
  next: NamedParts<Part>,
  change: (name: string, from: Part, to: Part) => Changed,
): Work<PartsDiff<Changed>> {
  const changed: Changed[] = []
  for (const [identity, { name, part: to }] of next) {
    const from = running.get(identity)?.part
    if (from !== undefined && !sameConfig(from, to)) changed.push(change(name, from, to))
    yield
  }
  return {
    added: namesOf(next, (identity) => !running.has(identity)),
    removed: namesOf(running, (identity) => !next.has(identity)),
    changed,
  }
}

function namesOf(
  parts: NamedParts<unknown>,
  isMeant: (identity: string) => boolean,
): readonly string[] {
  return [...parts].filter(([identity]) => isMeant(identity)).map(([, { name }]) => name)
}

/** `key` is the one that the parts stand under. */
function* diffNamed<Part>(
  key: string,
  running: NamedParts<Part>,
  next: NamedParts<Part>,
): Work<PartsDiff> {
  return yield* diffParts(running, next, (name, from, to) => ({
    name,
    keys: keyChanges([], written(key, from), written(key, to)),
  }))
}

function changedUpstream(name: string, from: UpstreamConfig, to: UpstreamConfig): ChangedUpstream {
  const { endpoints: fromEndpoints, ...fromRest } = from
  const { endpoints: toEndpoints, ...toRest } = to
  const keys = keyChanges([], written('', fromRest), written('', toRest))
  const fromUrls = byUrl(fromEndpoints)
  const toUrls = byUrl(toEndpoints)
  return {
    name,
    keys: [...keys, ...orderChange([...fromUrls.keys()], [...toUrls.keys()])],
    endpoints: atOnce(diffNamed('endpoints', byName(fromUrls), byName(toUrls))),
  }
}

function byUrl(endpoints: readonly EndpointConfig[]): ReadonlyMap<string, EndpointConfig> {
  return new Map(endpoints.map((endpoint) => [endpoint.url, endpoint]))
}

/** For endpoints that stay, but in another order. */
function orderChange(from: readonly string[], to: readonly string[]): KeyChange[] {
  const [old, now] = [new Set(from), new Set(to)]
  const staying = from.filter((url) => now.has(url))
  const inNewOrder = to.filter((url) => old.has(url))
  if (sameConfig(staying, inNewOrder)) return []
  return [{ key: 'endpoints', from: show(from), to: show(to) }]
}

function keyChanges(path: Path, from: Written, to: Written): KeyChange[] {
  if (sameConfig(from, to)) return []
  if (!isMap(from) || !isMap(to)) {
    return [{ key: formatPath(path), from: show(from), to: show(to) }]
  }
  const keys = new Set([...Object.keys(from), ...Object.keys(to)])
  return [...keys].flatMap((key) =>
    keyChanges([...path, key], valueOf(from, key), valueOf(to, key)),
  )
}

/** A name such as `__proto__` is a key like any other. */
function valueOf(map: Readonly<Record<string, Written>>, key: string): Written {
  return Object.hasOwn(map, key) ? (map[key] ?? UNSET) : UNSET
}

/** The routes besides a longest run of those that keep their order. */
function movedRoutes(running: Config['routes'], next: Config['routes']): MovedRoute[] {
  const placeOf = new Map(running.map(({ identity }, index) => [identity, index]))
  const staying = next.flatMap(({ name, identity }, to) => {
    const from = placeOf.get(identity)
    return from === undefined ? [] : [{ name, from: from + 1, to: to + 1 }]
  })
  const kept = new Set(longestRise(staying.map(({ from }) => from)))
  return staying.filter((_, index) => !kept.has(index))
}

/** The indexes of a longest rising subsequence. */
function longestRise(values: readonly number[]): number[] {
  // For each length the index of the least value that such a subsequence can end with, and for each index its predecessor.
  const ends: number[] = []
  const before: (number | undefined)[] = []
  for (const [index, value] of values.entries()) {
    const length = countBelow(ends, (end) => (values[end] ?? 0) < value)
    before.push(ends[length - 1])
    ends[length] = index
  }
  const rise: number[] = []
  for (let index = ends.at(-1); index !== undefined; index = before[index]) rise.push(index)
  return rise
}

/** How many of `items` are below, all of which stand in front of the others. */
function countBelow(items: readonly number[], isBelow: (item: number) => boolean): number {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (isBelow(items[middle] ?? 0)) low = middle + 1
    else high = middle
  }
  return low
}
