/** `upgate close`: ends one tunnel, or all that filters mean. */

import type { ClosingAnswer, TunnelList } from '../admin/tunnel-operations.ts'
import type { AdminClient } from './admin-client.ts'
import type { CallCommand } from './arguments.ts'
import { Failure } from './failure.ts'
import { filterQuery, filterText } from './filters.ts'
import { jsonText } from './json.ts'
import type { Terminal } from './terminal.ts'
import { counted, secondsText } from './units.ts'

export async function close(
  admin: AdminClient,
  { words: [id], values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  const filter = filterQuery(values)
  const which = filterText(filter)
  const meant = [id, which, values.all].filter((one) => one !== undefined && one !== '')
  if (meant.length === 0) {
    throw new Failure(2, 'which tunnels? Give an ID, filters such as --route chat, or --all')
  }
  if (meant.length > 1) throw new Failure(2, 'an ID, filters and --all do not go together')
  const ending = { code: values.code, reason: values.reason, over: values.over }
  if (id !== undefined) {
    const path = `/api/tunnels/${encodeURIComponent(id)}`
    return tell(await admin.call('DELETE', path, ending), values, terminal)
  }
  if (values.yes !== true && !(await isMeant(admin, filter, which, terminal))) {
    throw new Failure(1, 'nothing was closed')
  }
  const query = { ...filter, ...ending, ...(values.all === true ? { all: 'true' } : {}) }
  const answer = await admin.call<ClosingAnswer>('DELETE', '/api/tunnels', query)
  if (answer.matched === 0) throw new Failure(1, 'no tunnel is meant by that')
  tell(answer, values, terminal)
}

/** One is closed without a question. */
async function isMeant(
  admin: AdminClient,
  filter: ReturnType<typeof filterQuery>,
  which: string,
  terminal: Terminal,
): Promise<boolean> {
  if (!terminal.canAsk) {
    throw new Failure(2, 'nobody can be asked here: add --yes to close what the filters mean')
  }
  const { total } = await admin.call<TunnelList>('GET', '/api/tunnels', { ...filter, limit: '1' })
  if (total === 0) throw new Failure(1, 'no tunnel is meant by that')
  const question = `Close ${counted(total, 'tunnel')}${which === '' ? ', all there are' : ` (${which})`}? [y/N] `
  return total === 1 || (await terminal.ask(question))
}

function tell(answer: ClosingAnswer, { json }: CallCommand['values'], terminal: Terminal): void {
  if (json === true) return terminal.print(jsonText(answer))
  const { closing, alreadyEnding, overSeconds } = answer
  const over = overSeconds > 0 ? ` over ${secondsText(overSeconds)}` : ''
  const before = alreadyEnding > 0 ? `; ${counted(alreadyEnding, 'tunnel')} ended already` : ''
  terminal.print(`closing ${counted(closing, 'tunnel')}${over}${before}\n`)
}
