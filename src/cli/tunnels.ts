/** `upgate tunnels`: who is connected, and what flows. */

import type { TunnelJson } from '../admin/tunnel-json.ts'
import type { TunnelList } from '../admin/tunnel-operations.ts'
import type { AdminClient } from './admin-client.ts'
import type { CallCommand } from './arguments.ts'
import { filterQuery, filterText } from './filters.ts'
import { Failure } from './failure.ts'
import { jsonText } from './json.ts'
import { cut, tableLines, type Column } from './table.ts'
import type { Terminal } from './terminal.ts'
import { byteRateText, bytesText, counted, countText, rateText, secondsText } from './units.ts'

const WATCH_MS = 2000
/** Lines of a screen that are no tunnels: title, titles of columns, totals, and the one with the cursor. */
const OTHER_LINES = 5

/** As much of an id as tells it from all others, and as `upgate close` takes. */
const ID_CHARS = 13

const columns: readonly Column<TunnelJson>[] = [
  { title: 'ID', align: 'left', text: ({ id }) => id.slice(0, ID_CHARS) },
  { title: 'AGE', align: 'right', text: ({ ageSeconds }) => secondsText(ageSeconds) },
  { title: 'IDLE', align: 'right', text: ({ idleSeconds }) => secondsText(idleSeconds) },
  { title: 'CLIENT', align: 'left', text: ({ client }) => (client === '' ? 'unix' : client) },
  { title: 'USER', align: 'left', text: ({ user }) => user ?? '-' },
  { title: 'ROUTE', align: 'left', text: ({ route }) => route },
  { title: 'ENDPOINT', align: 'left', text: ({ endpoint }) => endpoint },
  { title: 'UP', align: 'right', text: ({ bytesUp }) => bytesText(bytesUp) },
  { title: 'DOWN', align: 'right', text: ({ bytesDown }) => bytesText(bytesDown) },
  { title: 'UP/s', align: 'right', text: ({ rates }) => byteRateText(rates.bytesUp) },
  { title: 'DOWN/s', align: 'right', text: ({ rates }) => byteRateText(rates.bytesDown) },
  { title: 'MSG/s', align: 'right', text: ({ rates }) => messageRate(rates) },
  { title: 'PROTOCOL', align: 'left', text: ({ protocol }) => protocol },
  {
    title: 'PATH',
    align: 'left',
    text: ({ path, ending }) => (ending ? `${path} (ending)` : path),
  },
]

export async function tunnels(
  admin: AdminClient,
  { words: [id], values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  const filter = filterQuery(values)
  if (id !== undefined) {
    const others = filterText({ ...filter, sort: values.sort, limit: values.limit })
    if (others !== '') throw new Failure(2, `an ID and ${others.split('=')[0]} are one too many`)
  }
  const look = async (): Promise<string> => {
    const { rows, columns: width } = terminal.size ?? {}
    const fitting =
      values.watch === true && rows !== undefined ? Math.max(1, rows - OTHER_LINES) : undefined
    const limit =
      values.limit ?? (fitting === undefined ? undefined : String(Math.min(1000, fitting)))
    const list =
      id === undefined
        ? await admin.call<TunnelList>('GET', '/api/tunnels', {
            ...filter,
            sort: values.sort,
            limit,
          })
        : await single(admin, id)
    if (values.json === true) return jsonText(id === undefined ? list : list.tunnels[0])
    return `${tunnelLines(list, width).join('\n')}\n`
  }
  terminal.print(await look())
  if (values.watch === true) await watch(admin, look, terminal)
}

async function single(admin: AdminClient, id: string): Promise<TunnelList> {
  const tunnel = await admin.call<TunnelJson>('GET', `/api/tunnels/${encodeURIComponent(id)}`)
  return { tunnels: [tunnel], total: 1, open: 1, offset: 0, limit: 1, next: null }
}

/** Until Ctrl-C. A gateway that restarts is waited for. */
async function watch(
  admin: AdminClient,
  look: () => Promise<string>,
  terminal: Terminal,
): Promise<void> {
  while (await terminal.wait(WATCH_MS)) {
    let text
    try {
      text = await look()
    } catch (error) {
      if (!(error instanceof Failure) || error.exitCode !== 3) throw error
      text = `${error.message}\n`
    }
    if (terminal.size === undefined) terminal.print(text)
    else {
      terminal.clear()
      terminal.print(`${cut(title(admin), terminal.size.columns)}\n\n${text}`)
    }
  }
}

function title({ url }: AdminClient): string {
  return `${url}  ${new Date().toLocaleTimeString('en-GB')}  every ${WATCH_MS / 1000}s, Ctrl-C ends`
}

function tunnelLines(list: TunnelList, width: number | undefined): string[] {
  const table = list.tunnels.length === 0 ? [] : tableLines(columns, list.tunnels, width)
  return [...table, cut(totals(list), width ?? Infinity)]
}

function totals({ tunnels: shown, total, open, offset }: TunnelList): string {
  if (shown.length === 0) return `no tunnel${open === 0 ? ' is open' : ` of ${countText(open)}`}`
  const sum = (number: (tunnel: TunnelJson) => number): number =>
    shown.reduce((so, tunnel) => so + number(tunnel), 0)
  const isAll = shown.length === total
  const which = isAll
    ? counted(total, 'tunnel')
    : `${countText(offset + 1)} to ${countText(offset + shown.length)} of ${counted(total, 'tunnel')}`
  const ofAll = open > total ? ` (${countText(open)} open)` : ''
  const up = `up ${bytesText(sum((one) => one.bytesUp))}, ${byteRateText(sum((one) => one.rates.bytesUp))}`
  const down = `down ${bytesText(sum((one) => one.bytesDown))}, ${byteRateText(sum((one) => one.rates.bytesDown))}`
  return `${which}${ofAll}: ${up}; ${down}`
}

function messageRate({ messagesUp, messagesDown }: TunnelJson['rates']): string {
  return messagesUp === null || messagesDown === null ? '' : rateText(messagesUp + messagesDown)
}
