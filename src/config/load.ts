/**
 * From a file to a `Config`, or to a list of everything that is wrong with it: read, put the environment in, check
 * every part by the schema, then the parts against each other.
 */

import { dirname, resolve } from 'node:path'

import { buildConfig } from './build.ts'
import { crossChecks } from './checks.ts'
import type { Config } from './config.ts'
import type { Environment } from './environment.ts'
import { findingsOf } from './issues.ts'
import { keepaliveWarnings } from './keepalive-checks.ts'
import { partsOf } from './parts.ts'
import { ConfigError, formatPath, formatProblem } from './problem.ts'
import type { Finding, Problem } from './problem.ts'
import { configSchema } from './schema.ts'
import type { ConfigInput } from './schema.ts'
import { readSource } from './source.ts'

/** Throws a `ConfigError` with all problems. `file` is shown in them as it is given here. */
export function loadConfig(file: string, env: Environment): Config {
  const absoluteFile = resolve(file)
  const directory = dirname(absoluteFile)
  const source = readSource(file, env)
  const parsed = configSchema.safeParse(source.raw)
  const checked = crossChecks(partsOf(source.raw), directory)
  const findings = [
    ...(parsed.success ? [] : findingsOf(parsed.error, source.raw)),
    ...checked.findings,
  ]
  const problems = [
    ...source.findings,
    ...findings.filter((finding) => !isConsequence(finding, source.findings)),
  ].map((finding) => source.locate(finding))
  if (problems.length > 0 || !parsed.success) throw new ConfigError(inOrder(problems))
  const input = source.raw as ConfigInput
  const warnings = [...checked.warnings, ...keepaliveWarnings(input)]
  return buildConfig({
    file: absoluteFile,
    directory,
    input,
    output: parsed.data,
    warnings: inOrder(warnings.map((finding) => source.locate(finding))).map(formatProblem),
  })
}

/** A variable that is not set is the reason why its value is no duration either: that is told once. */
function isConsequence(finding: Finding, reasons: readonly Finding[]): boolean {
  return reasons.some((reason) => formatPath(reason.path) === formatPath(finding.path))
}

function inOrder(problems: readonly Problem[]): Problem[] {
  return problems.toSorted(
    (a, b) =>
      (a.place?.line ?? 0) - (b.place?.line ?? 0) ||
      (a.place?.column ?? 0) - (b.place?.column ?? 0),
  )
}
