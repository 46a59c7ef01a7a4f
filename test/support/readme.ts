/**
 * What README.md takes from the code: its tables, between `<!-- table: NAME -->` and `<!-- end -->`, and what tests take
 * from README.md: its recipes, its tree of the sources, its words for why a relay runs and its list of dependencies.
 * `npm run readme` writes the tables anew.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import { operations } from '../../src/admin/operations.ts'
import { catalogue } from '../../src/errors.ts'
import { declareMetrics } from '../../src/report/declared.ts'
import { configTable } from './config-table.ts'
import { logFieldsTable, logLinesTable } from './log-words.ts'

const file = fileURLToPath(new URL('../../README.md', import.meta.url))

export function readReadme(): string {
  return readFileSync(file, 'utf8')
}

const tables: ReadonlyMap<string, () => string> = new Map([
  ['config', configTable],
  ['metrics', metricsTable],
  ['log-lines', logLinesTable],
  ['logs', logFieldsTable],
  ['refusals', refusalsTable],
  ['api', apiTable],
])

/** `readme` with every table as the code has it now. Throws where a table is missing, unknown or there twice. */
export function withTables(readme: string): string {
  const left = new Set(tables.keys())
  const text = readme.replace(
    /(<!-- table: (\S+) -->\n)[^]*?(<!-- end -->)/g,
    (_whole, begin: string, name: string, end: string) => {
      const table = tables.get(name)
      if (table === undefined || !left.delete(name)) throw new Error(`no place for table ${name}`)
      return `${begin}${table().trimEnd()}\n${end}`
    },
  )
  if (left.size > 0) throw new Error(`README.md has no table ${[...left].join(', ')}`)
  return text
}

/** The YAML blocks behind `<!-- recipe: NAME -->`, by name. Throws for a marker without a block. */
export function recipesOf(readme: string): ReadonlyMap<string, string> {
  const recipes = new Map<string, string>()
  for (const [marker, name = ''] of readme.matchAll(/<!-- recipe: (\S+) -->/g)) {
    const [, yaml] = new RegExp(`${marker}\n\`\`\`yaml\n([^]*?)\`\`\`\n`).exec(readme) ?? []
    if (yaml === undefined || recipes.has(name)) throw new Error(`recipe ${name} is no YAML block`)
    recipes.set(name, yaml)
  }
  return recipes
}

/** The files of the written tree behind `<!-- tree -->`, with their line each. */
export function treeOf(readme: string): ReadonlyMap<string, string> {
  const [, tree = ''] = /<!-- tree -->\n```\n([^]*?)```\n/.exec(readme) ?? []
  const folders: string[] = []
  const files = new Map<string, string>()
  for (const line of tree.split('\n')) {
    const [, indent = '', name = '', text = ''] = /^( *)(\S+) *(.*)$/.exec(line) ?? []
    if (name === '') continue
    folders.length = indent.length / 2
    if (name.endsWith('/')) folders.push(name)
    else files.set(folders.join('') + name, text)
  }
  return files
}

/** The packages of the table behind `<!-- dependencies -->`, in its order. */
export function dependenciesOf(readme: string): string[] {
  const [, table = ''] = /<!-- dependencies -->\n([^]*?)\n\n/.exec(readme) ?? []
  return [...table.matchAll(/^\| `([^`]+)` \| \S/gm)].map(([, name = '']) => name)
}

/** What the reason for a relay may have in it: the first cells of the table behind `<!-- whys -->`. */
export function whysOf(readme: string): string[] {
  const [, table = ''] = /<!-- whys -->\n([^]*?)<!-- end -->/.exec(readme) ?? []
  return [...table.matchAll(/^\| `([^`]+)` \| /gm)].map(([, words = '']) => words)
}

interface Metric {
  readonly name: string
  readonly type: string
  readonly labelNames: readonly string[]
  readonly help: string
}

function metricsTable(): string {
  const registry = new Registry()
  declareMetrics(registry, {
    relay: { name: '', why: '' },
    endpoints: () => [],
    listeners: () => [],
  })
  // Its types tell less than every metric of prom-client has.
  const metrics = registry.getMetricsAsArray() as unknown as readonly Metric[]
  const rows = metrics.map(({ name, type, labelNames, help }) => {
    const labels = labelNames.map((label) => `\`${label}\``).join(' ')
    return `| \`${name}\` | ${type} | ${labels} | ${help} |`
  })
  return ['| Metric | Type | Labels | |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

function refusalsTable(): string {
  const rows = Object.entries(catalogue).map(
    ([code, { status, source, phase, level, text }]) =>
      `| ${status} | \`${code}\` | ${source} | ${phase} | ${level} | ${text} |`,
  )
  return [
    '| Status | Code | At fault | Step | Log level | What the client reads |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function apiTable(): string {
  const rows = operations.map(({ method, path, summary, query, options }) => {
    const names = [...Object.keys(query), ...Object.keys(options)].map((name) => `\`${name}\``)
    return `| \`${method} ${path}\` | ${summary}. | ${names.join(' ')} |`
  })
  return ['| Call | | Parameters |', '| --- | --- | --- |', ...rows].join('\n')
}

if (import.meta.main) {
  const readme = readReadme()
  const written = withTables(readme)
  if (process.argv.includes('--write')) writeFileSync(file, written)
  else if (written !== readme) {
    console.error('README.md differs from the code: npm run readme writes its tables anew')
    process.exitCode = 1
  }
}
