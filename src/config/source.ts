/**
 * Reads the file: YAML 1.2 to plain values, with the environment put in, and with a way back from a value to its line
 * and column. Nothing here knows what the keys mean.
 */

import { Composer, isAlias, isMap, isSeq, LineCounter, Parser } from 'yaml'
import type { Alias, CST, Document, Node, Pair, YAMLError, YAMLMap } from 'yaml'

import type { Environment } from './environment.ts'
import { ConfigError, formatPath, PROBLEMS_MAX } from './problem.ts'
import type { Finding, Place, Problem } from './problem.ts'
import { readFailure, readRegularFile } from './read-file.ts'
import { badByteIn } from './utf8.ts'
import { DEPTH_MAX, keyText, startOf, valuesOf } from './yaml-values.ts'

export interface Source {
  /** The content as plain maps, lists and scalars. */
  readonly raw: unknown
  /** Problems with the environment. */
  readonly findings: readonly Finding[]
  /** Findings in the order of the file. */
  inOrder(findings: readonly Finding[]): Finding[]
  /** Gives a finding its place. */
  locate(finding: Finding): Problem
}

/** Throws a ConfigError when the file cannot be read or is not YAML: nothing else can be said of it then. */
export function readSource(file: string, env: Environment): Source {
  const text = readText(file)
  const lines = new LineCounter()
  const place = (offset: number): Place => placeAt(text, lines, offset)
  const document = parse(text, lines, (offset, problem) => {
    throw new ConfigError([{ file, place: place(offset), path: '', text: problem }])
  })
  const values = valuesOf(document, env)
  const problems = syntaxProblems(document, values.problems, { file, place })
  if (problems.length > 0) {
    throw new ConfigError(problems.slice(0, PROBLEMS_MAX), problems.length - PROBLEMS_MAX)
  }
  const nodes = new Nodes(document, values.targets)
  return {
    raw: values.raw,
    findings: values.findings,
    inOrder: (findings) =>
      findings
        .map((finding) => ({ finding, offset: nodes.offsetOf(finding) }))
        .toSorted((a, b) => a.offset - b.offset)
        .map(({ finding }) => finding),
    locate: (finding) => ({
      file,
      place: place(nodes.offsetOf(finding)),
      path: formatPath(finding.path),
      text: finding.text,
    }),
  }
}

function readText(file: string): string {
  const refuse = (text: string, place?: Place): never => {
    throw new ConfigError([{ file, place, path: '', text }])
  }
  let content: Buffer
  try {
    content = readRegularFile(file)
  } catch (error) {
    return refuse(`cannot be read: ${readFailure(error)}`)
  }
  const bad = badByteIn(content)
  if (bad === undefined) return content.toString().replace(/^\ufeff/, '')
  const isUtf16 = content.indexOf('fffe', 0, 'hex') === 0 || content.indexOf('feff', 0, 'hex') === 0
  if (isUtf16) return refuse('is UTF-16; save it as UTF-8')
  return refuse('this is not UTF-8; save the file as UTF-8', bad)
}

/** `refuse` is called with an offset, and what is wrong there, for what would exhaust the stack of the program. */
function parse(
  text: string,
  lines: LineCounter,
  refuse: (offset: number, problem: string) => never,
): Document.Parsed {
  const options = { prettyErrors: false, stringKeys: true, resolveKnownTags: false }
  // Keys that are there twice are found later: the search here compares each key with all before it.
  const composer = new Composer({ ...options, uniqueKeys: false, keepSourceTokens: false })
  const tokens = [...new Parser(lines.addNewLine).parse(text)]
  const tooDeep = tokens.map(tooDeepIn).find((offset) => offset !== undefined)
  if (tooDeep !== undefined) refuse(tooDeep, `nested more than ${DEPTH_MAX} deep`)
  const [document, second] = [...composer.compose(tokens, true, text.length)] as Document.Parsed[]
  if (second !== undefined) {
    const at = second.range[0]
    refuse(at, 'a second document (---) begins here; expected only one')
  }
  return document as Document.Parsed
}

/** Where lists and maps are nested too deeply to be composed; looked for without recursion. */
function tooDeepIn(token: CST.Token): number | undefined {
  const left: { readonly token: CST.Token; readonly depth: number }[] = [{ token, depth: 0 }]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { depth } = next
    if (next.token.type === 'document') {
      if (next.token.value !== undefined) left.push({ token: next.token.value, depth })
      continue
    }
    if (!('items' in next.token)) continue
    if (depth >= DEPTH_MAX) return next.token.offset
    for (const { key, value } of next.token.items) {
      if (key) left.push({ token: key, depth: depth + 1 })
      if (value) left.push({ token: value, depth: depth + 1 })
    }
  }
  return undefined
}

interface Where {
  readonly file: string
  readonly place: (offset: number) => Place
}

/** In the order of the file, the first of each line: what follows there is mostly a consequence of it. */
function syntaxProblems(
  document: Document.Parsed,
  found: readonly { readonly offset: number; readonly text: string }[],
  { file, place }: Where,
): Problem[] {
  const problems = new Map<number, Problem>()
  const errors = [...document.errors, ...document.warnings].toSorted((a, b) => a.pos[0] - b.pos[0])
  // From there on the parser has lost the structure, and what it says of the rest of the file is of no use.
  const lost = errors.findIndex(({ code }) => code === 'UNEXPECTED_TOKEN')
  const useful = lost === -1 ? errors : errors.slice(0, lost + 1)
  const all = [
    ...useful.map((error) => ({ offset: error.pos[0], error })),
    ...(lost === -1 ? found : []),
  ].toSorted((a, b) => a.offset - b.offset)
  for (const problem of all) {
    const at = place(problem.offset)
    if (problems.has(at.line)) continue
    const text = 'text' in problem ? problem.text : yamlText(problem.error, at)
    problems.set(at.line, { file, place: at, path: '', text })
  }
  return [...problems.values()]
}

function yamlText(error: YAMLError, place: Place): string {
  const inFlow = place.source.slice(0, place.column).endsWith('${')
  const hint = inFlow
    ? '; between [ ] and { }, ${NAME} has to stand in quotes: "${NAME}"'
    : yamlHint(error.message)
  return `not valid YAML: ${error.message}${hint}`
}

/** What to do about mistakes that are often made; empty where the parser says it. */
function yamlHint(message: string): string {
  if (message.startsWith('Tabs are not allowed')) return '; indent with spaces'
  if (message.startsWith('Alias cannot be')) return '; a * that is meant goes in quotes: "*"'
  if (message.startsWith('Plain value cannot start')) return '; put the text in quotes'
  if (message.startsWith('Invalid escape')) {
    return "; a \\ that is meant goes in single quotes: 'C:\\users'"
  }
  if (message.startsWith('Nested mappings')) return '; begin a new line behind the first key'
  return ''
}

/** The way from a path to its node; each map is indexed when it is first gone through. */
class Nodes {
  readonly #document: Document.Parsed
  readonly #targets: ReadonlyMap<Alias, Node>
  readonly #pairs = new Map<YAMLMap, ReadonlyMap<string, Pair>>()

  constructor(document: Document.Parsed, targets: ReadonlyMap<Alias, Node>) {
    this.#document = document
    this.#targets = targets
  }

  /** Where a finding is. A key that is missing is found at the key, or the list item, that it is missing under. */
  offsetOf(finding: Finding): number {
    let node: Node | null = this.#document.contents
    let keyNode: Node | undefined
    for (const [depth, step] of finding.path.entries()) {
      const isLast = depth === finding.path.length - 1
      if (isAlias(node)) node = this.#targets.get(node) ?? null
      if (isMap(node)) {
        const pair = this.#pairsOf(node).get(String(step))
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

  #pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
    let pairs = this.#pairs.get(map)
    if (pairs === undefined) {
      pairs = new Map(map.items.map((pair) => [keyText(pair.key), pair]))
      this.#pairs.set(map, pairs)
    }
    return pairs
  }
}

function placeAt(text: string, lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(Math.min(offset, text.length))
  const start = lines.lineStarts[line - 1] ?? 0
  const end = text.indexOf('\n', start)
  const source = text.slice(start, end === -1 ? undefined : end)
  const shown = source.endsWith('\r') ? source.slice(0, -1) : source
  return { line: Math.max(1, line), column: Math.max(1, col), source: shown }
}
