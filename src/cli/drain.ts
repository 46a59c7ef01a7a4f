/** `upgate drain` and `upgate enable`: takes an endpoint out, and back in. */

import type { DrainAnswer } from '../admin/upstream-operations.ts'
import type { AdminClient } from './admin-client.ts'
import type { CallCommand } from './arguments.ts'
import { Failure } from './failure.ts'
import { jsonText } from './json.ts'
import type { Terminal } from './terminal.ts'
import { findEndpoint } from './upstreams.ts'
import { counted, secondsText } from './units.ts'

export async function drain(
  admin: AdminClient,
  { words: [upstream = '', url = ''], values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  if (values.over !== undefined && values.close !== true) {
    throw new Failure(2, '--over is for tunnels that are closed: add --close')
  }
  const { id } = await findEndpoint(admin, upstream, url)
  const answer = await admin.call<DrainAnswer>('POST', `/api/endpoints/${id}/drain`, {
    close: values.close === true ? 'true' : undefined,
    over: values.over,
  })
  if (values.json === true) return terminal.print(jsonText(answer))
  const { endpoint, closing, overSeconds } = answer
  const over = overSeconds > 0 ? ` over ${secondsText(overSeconds)}` : ''
  const what =
    values.close === true
      ? `closing ${counted(closing, 'tunnel')}${over}`
      : `${counted(endpoint.tunnels, 'tunnel')} may end by themselves`
  terminal.print(`${upstream} ${endpoint.url} gets no new tunnels; ${what}\n`)
}

export async function enable(
  admin: AdminClient,
  { words: [upstream = '', url = ''], values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  const { id } = await findEndpoint(admin, upstream, url)
  const answer = await admin.call<DrainAnswer>('POST', `/api/endpoints/${id}/enable`)
  if (values.json === true) return terminal.print(jsonText(answer))
  const { endpoint } = answer
  const tunnels = counted(endpoint.tunnels, 'tunnel')
  terminal.print(`${upstream} ${endpoint.url} gets new tunnels; it has ${tunnels}\n`)
}
