/** What became of a reload, for the log and for who asked. */

import { diffLines, type ConfigDiff } from '../config/diff.ts'
import type { Survey } from '../tunnels/reconcile.ts'

export interface ReloadResult {
  /** False where the config is not taken: everything is as before. */
  readonly ok: boolean
  readonly dryRun: boolean
  /** What has changed, or would: a line each. */
  readonly changes: readonly string[]
  /** Keys whose change takes effect at the next start. */
  readonly needsRestart: readonly string[]
  /** Why it is not taken: a line each. */
  readonly problems: readonly string[]
  /** Tunnels that the new config has no place for, and that are closed therefore. */
  readonly closing: number
  /** The same by the name of their route. */
  readonly closingByRoute: Readonly<Record<string, number>>
  /** Tunnels that it has no place for, and that their route keeps. */
  readonly kept: number
}

/** What another config brings. */
export interface Taken {
  readonly diff: ConfigDiff
  /** URLs of listeners that show another certificate. */
  readonly certificates: readonly string[]
  readonly tunnels: Survey
}

export function reloadTaken(
  dryRun: boolean,
  { diff, certificates, tunnels: { closing, kept } }: Taken,
): ReloadResult {
  return {
    ok: true,
    dryRun,
    changes: [...diffLines(diff), ...certificates.map((url) => `another certificate at ${url}`)],
    needsRestart: diff.needsRestart,
    problems: [],
    closing: [...closing.values()].reduce((sum, count) => sum + count, 0),
    closingByRoute: Object.fromEntries(closing),
    kept,
  }
}

export function reloadFailed(dryRun: boolean, problems: readonly string[]): ReloadResult {
  const nothing = { changes: [], needsRestart: [], closing: 0, closingByRoute: {}, kept: 0 }
  return { ok: false, dryRun, problems, ...nothing }
}
