/**
 * Reads the file: YAML 1.2 to plain values, with the environment put in, and with a way back from a value to its line
 * and column. Nothing here knows what the keys mean.
 */

import { readFileSync } from 'node:fs'

import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { Document, Node, ParsedNode, YAMLError } from 'yaml'

import { substitute } from './environment.ts'
import type { Environment } from './environment.ts'
import { ConfigError, formatPath } from './problem.ts'
import type { Finding, Path, Place, Problem } from './problem.ts'

/** More aliases than this are an attempt to fill memory, or a mistake. */
const aliasesMax = 100

export interface Source {
  /** The content as plain maps, lists and scalars. */
  readonly raw: unknown
  /** Problems with the environment. */
  readonly findings: readonly Finding[]
  /** Gives a finding its place. */
  locate(finding: Finding): Problem
}

/** Throws a ConfigError when the file cannot be read or is not YAML: nothing else can be said of it then. */
export function readSource(file: string, env: Environment): Source {
  const text = readText(file)
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
  })
  const place = (offset: number): Place => placeAt(text, lines, offset)
  const problems = syntaxProblems(document, file, place)
  if (problems.length > 0) throw new ConfigError(problems)
  const findings: Finding[] = []
  substituteNode(document.contents, [], { env, findings })
  return {
    raw: toPlain(document, file, place(0)),
    findings,
    locate: (finding) => ({
      file,
      place: place(offsetOf(document, finding)),
      path: formatPath(finding.path),
      text: finding.text,
    }),
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\ufeff/, '')
  } catch (error) {
    const text = `cannot be read: ${readFailure(error)}`
    throw new ConfigError([{ file, place: undefined, path: '', text }])
  }
}

/** Why a file could not be read, in words. */
export function readFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file'
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not read it'
  if (code === 'EISDIR') return 'it is a directory'
  return error instanceof Error ? error.message : String(error)
}

function toPlain(document: Document.Parsed, file: string, place: Place): unknown {
  try {
    return document.toJS({ maxAliasCount: aliasesMax })
  } catch {
    const text = `there may be at most ${aliasesMax} aliases (*name)`
    throw new ConfigError([{ file, place, path: '', text }])
  }
}

function syntaxProblems(
  document: Document.Parsed,
  file: string,
  place: (offset: number) => Place,
): Problem[] {
  const problems = new Map<number, Problem>()
  // What follows on the same line is mostly a consequence of the first error there.
  const add = (at: Place, text: string): void => {
    if (!problems.has(at.line)) problems.set(at.line, { file, place: at, path: '', text })
  }
  for (const error of [...document.errors, ...document.warnings]) {
    const at = place(error.pos[0])
    add(at, yamlText(error, at))
    // The parser has lost the structure, and what it says of the rest of the file is of no use.
    if (error.code === 'UNEXPECTED_TOKEN') break
  }
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return
      add(place(startOf(alias)), `there is no &${alias.source} before this alias`)
    },
  })
  return [...problems.values()]
}

function yamlText(error: YAMLError, place: Place): string {
  if (error.code === 'DUPLICATE_KEY') return 'this key is there twice'
  if (error.code === 'MULTIPLE_DOCS')
    return 'a second document (---) begins here; expected only one'
  const inFlow = place.source.slice(0, place.column).endsWith('${')
  const hint = inFlow ? '; between [ ] and { }, ${NAME} has to stand in quotes: "${NAME}"' : ''
  return `not valid YAML: ${error.message}${hint}`
}

interface SubstitutionState {
  readonly env: Environment
  readonly findings: Finding[]
}

function substituteNode(node: unknown, path: Path, state: SubstitutionState): void {
  if (isMap(node)) {
    for (const pair of node.items) substituteNode(pair.value, [...path, keyText(pair.key)], state)
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) substituteNode(item, [...path, index], state)
  } else if (isScalar(node) && typeof node.value === 'string' && node.value.includes('${')) {
    const { text, problems } = substitute(node.value, state.env)
    node.value = text
    for (const problem of problems) state.findings.push({ path, text: problem })
  }
}

/** Where a finding is. A key that is missing is found at the key, or the list item, that it is missing under. */
function offsetOf(document: Document.Parsed, finding: Finding): number {
  let node: Node | null = document.contents
  let keyNode: Node | undefined
  for (const [depth, step] of finding.path.entries()) {
    const isLast = depth === finding.path.length - 1
    if (isAlias(node)) node = node.resolve(document) ?? null
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && keyText(item.key) === step)
      if (pair === undefined) return startOf(keyNode ?? node)
      keyNode = pair.key as Node
      if (isLast && finding.atKey === true) break
      node = pair.value as Node | null
    } else if (isSeq(node)) {
      node = (node.items[Number(step)] as Node | undefined) ?? node
      keyNode = undefined
    } else {
      break
    }
  }
  const last = finding.path.at(-1)
  return startOf(finding.atKey === true && last !== undefined ? (keyNode ?? node) : node)
}

function startOf(node: Node | null): number {
  return (node as ParsedNode | null)?.range?.[0] ?? 0
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key)
}

function placeAt(text: string, lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(Math.min(offset, text.length))
  const start = lines.lineStarts[line - 1] ?? 0
  const end = text.indexOf('\n', start)
  const source = text.slice(start, end === -1 ? undefined : end).replace(/\r$/, '')
  return { line: Math.max(1, line), column: Math.max(1, col), source }
}
