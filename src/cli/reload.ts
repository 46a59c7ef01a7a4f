/** `upgate reload`: has the gateway read its config again. */

import type { ReloadAnswer } from '../admin/gateway-operations.ts'
import type { AdminClient } from './admin-client.ts'
import type { CallCommand } from './arguments.ts'
import { visible } from '../base/visible.ts'
import { jsonText } from './json.ts'
import type { Terminal } from './terminal.ts'
import { counted } from './units.ts'

export async function reload(
  admin: AdminClient,
  { values }: CallCommand,
  terminal: Terminal,
): Promise<void> {
  const dryRun = values['dry-run'] === true
  const answer = await askReload(admin, dryRun)
  terminal.print(values.json === true ? jsonText(answer) : reloadText(answer))
}

export function askReload(admin: AdminClient, dryRun: boolean): Promise<ReloadAnswer> {
  return admin.call<ReloadAnswer>('POST', '/api/reload', { dryRun: dryRun ? 'true' : undefined })
}

/** What changed, or would: a line each, and what becomes of tunnels. */
export function reloadText(answer: ReloadAnswer): string {
  const { dryRun, file, changes, needsRestart, closing, closingByRoute, kept } = answer
  const lines = changes.map((line) => `  ${visible(line)}`)
  if (needsRestart.length > 0) {
    lines.push(`  takes effect at the next start alone: ${needsRestart.join(', ')}`)
  }
  const routes = Object.entries(closingByRoute).map(([route, count]) => `${route} ${count}`)
  if (closing > 0) {
    const verb = dryRun ? 'would close' : 'closes'
    lines.push(`  ${verb} ${counted(closing, 'tunnel')} (${routes.join(', ')})`)
  }
  if (kept > 0) {
    const verb = dryRun ? 'would keep' : 'keeps'
    lines.push(`  ${verb} ${counted(kept, 'tunnel')} that it has no place for`)
  }
  const head = dryRun ? `a reload of ${file} would change` : `${file} is in use;`
  const count = changes.length === 0 ? 'nothing' : counted(changes.length, 'thing')
  const first = dryRun ? `${head} ${count}` : `${head} ${count} changed`
  return `${[first, ...lines].join('\n')}\n`
}
