/** `upgate rebalance`: has tunnels of the fullest endpoints closed, so that their clients come back to others. */

import type { RebalanceJson } from '../admin/upstream-operations.ts'
import type { AdminClient } from './admin-client.ts'
import type { CallCommand } from './arguments.ts'
import { Failure } from './failure.ts'
import { jsonText } from './json.ts'
import type { Terminal } from './terminal.ts'
import { counted } from './units.ts'

export async function rebalance(
  admin: AdminClient,
  { words: [upstream = ''], values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  const { status, stop, rate, spread, json } = values
  const isStart = status !== true && stop !== true
  if (status === true && stop === true) throw new Failure(2, '--status and --stop are one too many')
  if (!isStart && (rate !== undefined || spread !== undefined)) {
    throw new Failure(2, '--rate and --spread are for a job that begins')
  }
  const path = `/api/upstreams/${encodeURIComponent(upstream)}/rebalance`
  const job = isStart
    ? await admin.call<RebalanceJson>('POST', path, { rate: rate?.replace(/\/s$/, ''), spread })
    : await admin.call<RebalanceJson>(stop === true ? 'DELETE' : 'GET', path)
  if (json === true) return terminal.print(jsonText(job))
  terminal.print(isStart ? startText(job) : stateText(job))
}

function startText({ upstream, rate, spread }: RebalanceJson): string {
  return `rebalancing ${upstream}: closes at most ${counted(rate, 'tunnel')} a second, until no endpoint is more than ${percent(spread)} above its share
upgate rebalance ${upstream} --status tells how it goes, --stop ends it\n`
}

function stateText({ upstream, state, rate, spread, startedAt, closed }: RebalanceJson): string {
  return `${upstream}: ${state}; ${counted(closed, 'tunnel')} closed since ${startedAt} (${rate}/s, ${percent(spread)})\n`
}

function percent(part: number): string {
  return `${Math.round(part * 100)}%`
}
