/** `upgate upstreams`: endpoints, and how many tunnels they have. */

import type { EndpointJson, UpstreamList } from '../admin/upstream-operations.ts'
import { nearest } from '../config/section.ts'
import type { AdminClient } from './admin-client.ts'
import type { CallCommand } from './arguments.ts'
import { Failure } from './failure.ts'
import { jsonText } from './json.ts'
import { cut, tableLines, type Column } from './table.ts'
import type { Terminal } from './terminal.ts'
import { counted, countText } from './units.ts'

interface Row {
  readonly upstream: string
  readonly balance: string
  readonly endpoint: EndpointJson
}

const columns: readonly Column<Row>[] = [
  { title: 'UPSTREAM', align: 'left', text: ({ upstream }) => upstream },
  { title: 'ENDPOINT', align: 'left', text: ({ endpoint }) => endpoint.url },
  { title: 'STATE', align: 'left', text: ({ endpoint }) => stateOf(endpoint) },
  { title: 'TUNNELS', align: 'right', text: ({ endpoint }) => countText(endpoint.tunnels) },
  { title: 'IN USE', align: 'right', text: ({ endpoint }) => countText(endpoint.inUse) },
  { title: 'WEIGHT', align: 'right', text: ({ endpoint }) => String(endpoint.weight) },
  { title: 'BALANCE', align: 'left', text: ({ balance }) => balance },
  { title: 'ID', align: 'left', text: ({ endpoint }) => endpoint.id },
]

export async function upstreams(
  admin: AdminClient,
  { values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  const list = await admin.call<UpstreamList>('GET', '/api/upstreams')
  if (values.json === true) return terminal.print(jsonText(list))
  const rows = list.upstreams.flatMap(({ name, balance, endpoints }) =>
    endpoints.map((endpoint) => ({ upstream: name, balance, endpoint })),
  )
  const width = terminal.size?.columns ?? Infinity
  const tunnels = rows.reduce((sum, { endpoint }) => sum + endpoint.tunnels, 0)
  const total = `${counted(rows.length, 'endpoint')}, ${counted(tunnels, 'tunnel')}`
  terminal.print(`${[...tableLines(columns, rows, width), cut(total, width)].join('\n')}\n`)
}

function stateOf({ up, draining, closing }: EndpointJson): string {
  if (closing) return 'closing'
  if (draining) return 'draining'
  return up ? 'up' : 'down'
}

/** By its URL, with or without its scheme, or by its id. Throws a Failure that names those that there are. */
export async function findEndpoint(
  admin: AdminClient,
  upstream: string,
  endpoint: string,
): Promise<EndpointJson> {
  const list = await admin.call<UpstreamList>('GET', '/api/upstreams')
  const found = list.upstreams.find(({ name }) => name === upstream)
  if (found === undefined) {
    const names = list.upstreams.map(({ name }) => name)
    throw new Failure(1, `there is no upstream ${upstream}${orMeant(upstream, names)}`)
  }
  const { endpoints } = found
  const match = endpoints.find(
    ({ id, url }) =>
      endpoint === id || endpoint === url || endpoint === url.replace(/^https?:\/\//, ''),
  )
  if (match !== undefined) return match
  const urls = endpoints.map(({ url }) => url)
  throw new Failure(1, `${upstream} has no endpoint ${endpoint}; it has ${urls.join(', ')}`)
}

function orMeant(word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  return meant === undefined ? `; there are ${known.join(', ')}` : `, did you mean ${meant}?`
}
