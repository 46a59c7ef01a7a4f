/**
 * From a file to a `Config`, or to a list of everything that is wrong with it: read, put the environment in, check
 * every part by the schema, then the parts against each other.
 */

import { dirname, resolve } from 'node:path'

import { ADMIN_ADDRESS_VARIABLE, withAdminAddress } from './admin-address.ts'
import { buildConfig } from './build.ts'
import { crossChecks } from './checks.ts'
import type { Config } from './config.ts'
import type { Environment } from './environment.ts'
import { findingsOf } from './issues.ts'
import { keepaliveWarnings } from './keepalive-checks.ts'
import { partsOf } from './parts.ts'
import { ConfigError, formatPath, formatProblem, moreLines, PROBLEMS_MAX } from './problem.ts'
import type { Finding, Problem } from './problem.ts'
import { configSchema } from './schema.ts'
import type { ConfigInput } from './schema.ts'
import { readSource } from './source.ts'
import type { Source } from './source.ts'

/** Throws a `ConfigError` with all problems. `file` is shown in them as it is given here. */
export function loadConfig(file: string, env: Environment): Config {
  const absoluteFile = resolve(file)
  const directory = dirname(absoluteFile)
  const source = readSource(file, env)
  const raw = withAdminAddress(source.raw, env)
  const parsed = configSchema.safeParse(raw)
  const checked = crossChecks(partsOf(raw), directory)
  const reasons = new Set(source.findings.map(({ path }) => formatPath(path)))
  const findings = [
    ...source.findings,
    ...(parsed.success ? [] : findingsOf(parsed.error, raw)).filter(isOwn(reasons)),
    ...checked.findings.filter(isOwn(reasons)),
  ].map(raw === source.raw ? (finding) => finding : namingVariable)
  if (findings.length > 0 || !parsed.success) {
    throw new ConfigError(firstOf(source, findings), findings.length - PROBLEMS_MAX)
  }
  const input = raw as ConfigInput
  const warnings = [...checked.warnings, ...keepaliveWarnings(input)]
  return buildConfig({
    file: absoluteFile,
    directory,
    input,
    output: parsed.data,
    warnings: [
      ...firstOf(source, warnings).map(formatProblem),
      ...moreLines(warnings.length - PROBLEMS_MAX, 'warning'),
    ],
  })
}

/** A variable that is not set is the reason why its value is no duration either: that is told once. */
function isOwn(reasons: ReadonlySet<string>): (finding: Finding) => boolean {
  return ({ path }) => !reasons.has(formatPath(path))
}

/** The address is nowhere in the file. */
function namingVariable(finding: Finding): Finding {
  return formatPath(finding.path) === 'admin.address'
    ? { ...finding, text: `${ADMIN_ADDRESS_VARIABLE}: ${finding.text}` }
    : finding
}

/** As many as are told, with their places. */
function firstOf(source: Source, findings: readonly Finding[]): Problem[] {
  return source
    .inOrder(findings)
    .slice(0, PROBLEMS_MAX)
    .map((finding) => source.locate(finding))
}
