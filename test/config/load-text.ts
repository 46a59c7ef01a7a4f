/** Loads a configuration from text, and tells its problems in short. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Config } from '../../src/config/config.ts'
import type { Environment } from '../../src/config/environment.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'

/** The folder of the fixtures; `${FIXTURES}` in a text stands for it. */
export const fixtures = fileURLToPath(new URL('../fixtures/config', import.meta.url))

export function loadText(yaml: string, env: Environment = {}): Config {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-config-'))
  try {
    const file = join(folder, 'upgate.yaml')
    writeFileSync(file, yaml)
    return loadConfig(file, { FIXTURES: fixtures, ...env })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** `line:column: path: text` for each problem; empty when the text is right. */
export function problemsIn(yaml: string, env: Environment = {}): string[] {
  try {
    loadText(yaml, env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ place, path, text }) =>
      [`${place?.line}:${place?.column}`, path, text].filter((part) => part !== '').join(': '),
    )
  }
}

/** A right configuration around some more lines. */
export function withRoute(yaml: string): string {
  return `${yaml}\nroutes: [{ upstream: "http://localhost:3000" }]\n`
}
