/**
 * From YAML's nodes to plain maps, lists and scalars, in one pass: the environment is put in, aliases get what their anchors
 * have, and keys that are there twice are found. The time it takes grows with the file and not with its square.
 */

import { isAlias, isMap, isScalar, isSeq } from 'yaml'
import type { Alias, Document, Node, ParsedNode, YAMLMap } from 'yaml'

import { substitute } from './environment.ts'
import type { Environment } from './environment.ts'
import type { Finding, Path } from './problem.ts'

/** One anchor may be used so often, counted with the aliases inside of it: more are an attempt to fill memory, or a mistake. */
const ALIASES_MAX = 100

/** Lists and maps within each other. No config comes near it, and what reads them uses the stack. */
export const DEPTH_MAX = 64

interface YamlProblem {
  /** In the text. */
  readonly offset: number
  readonly text: string
}

export interface YamlValues {
  readonly raw: unknown
  /** Problems with the environment. */
  readonly findings: readonly Finding[]
  /** Of YAML itself. */
  readonly problems: readonly YamlProblem[]
  /** What an alias stands for. */
  readonly targets: ReadonlyMap<Alias, Node>
}

export function valuesOf(document: Document.Parsed, env: Environment): YamlValues {
  const reader = new ValueReader(env)
  const { value: raw } = reader.read(document.contents, 0)
  const { findings, problems, targets } = reader
  return { raw, findings, problems, targets }
}

/** Where a node begins in the text. */
export function startOf(node: Node | null): number {
  return (node as ParsedNode | null)?.range?.[0] ?? 0
}

export function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key)
}

interface Value {
  readonly value: unknown
  /** Aliases in it, those in what they stand for included. */
  readonly aliases: number
  /** Lists and maps within each other, itself included. */
  readonly depth: number
}

interface Anchored extends Value {
  readonly node: Node
  uses: number
}

class ValueReader {
  readonly findings: Finding[] = []
  readonly problems: YamlProblem[] = []
  readonly targets = new Map<Alias, Node>()
  readonly #env: Environment
  readonly #anchors = new Map<string, Anchored>()
  readonly #path: (string | number)[] = []
  #hasTooMany = false

  constructor(env: Environment) {
    this.#env = env
  }

  read(node: unknown, depth: number): Value {
    if (isAlias(node)) return this.#readAlias(node, depth)
    const value = this.#readContent(node, depth)
    const { anchor } = (node ?? {}) as { readonly anchor?: string }
    if (anchor !== undefined) {
      this.#anchors.set(anchor, { ...value, node: node as Node, uses: 0 })
    }
    return value
  }

  #readContent(node: unknown, depth: number): Value {
    if (isMap(node)) return this.#readMap(node, depth)
    if (isSeq(node)) {
      const list: unknown[] = []
      const aliases = this.#readItems(node.items, depth, list)
      return { value: list, ...aliases }
    }
    const value = isScalar(node) ? this.#readScalar(node.value) : null
    return { value, aliases: 0, depth: 0 }
  }

  #readItems(items: readonly unknown[], depth: number, list: unknown[]): Omit<Value, 'value'> {
    let aliases = 0
    let inner = 0
    for (const [index, item] of items.entries()) {
      this.#path.push(index)
      const read = this.read(item, depth + 1)
      this.#path.pop()
      list.push(read.value)
      aliases += read.aliases
      inner = Math.max(inner, read.depth)
    }
    return { aliases, depth: inner + 1 }
  }

  #readMap(node: YAMLMap, depth: number): Value {
    const map = new Map<string, unknown>()
    let aliases = 0
    let inner = 0
    for (const { key, value } of node.items) {
      const name = keyText(key)
      if (map.has(name)) this.#find(startOf(key as Node | null), 'this key is there twice')
      this.#path.push(name)
      const read = this.read(value, depth + 1)
      this.#path.pop()
      map.set(name, read.value)
      aliases += read.aliases
      inner = Math.max(inner, read.depth)
    }
    // A key such as `__proto__` becomes one like any other.
    return { value: Object.fromEntries(map), aliases, depth: inner + 1 }
  }

  #readScalar(value: unknown): unknown {
    if (typeof value !== 'string' || !value.includes('${')) return value
    const { text, problems } = substitute(value, this.#env)
    const path: Path = [...this.#path]
    for (const problem of problems) this.findings.push({ path, text: problem })
    return text
  }

  #readAlias(alias: Alias, depth: number): Value {
    const nothing = { value: null, aliases: 1, depth: 0 }
    const target = this.#anchors.get(alias.source)
    const offset = startOf(alias)
    if (target === undefined) {
      this.#find(offset, `there is no &${alias.source} before this alias${hintFor(alias.source)}`)
      return nothing
    }
    target.uses += 1
    this.targets.set(alias, target.node)
    if (target.uses * Math.max(1, target.aliases) > ALIASES_MAX) {
      if (!this.#hasTooMany)
        this.#find(offset, `there may be at most ${ALIASES_MAX} aliases (*name)`)
      this.#hasTooMany = true
      return nothing
    }
    if (depth + target.depth > DEPTH_MAX) {
      this.#find(offset, `lists and maps may be nested ${DEPTH_MAX} deep at most`)
      return nothing
    }
    const { value, aliases, depth: inner } = target
    return { value, aliases: aliases + 1, depth: inner }
  }

  #find(offset: number, text: string): void {
    this.problems.push({ offset, text })
  }
}

/** A host pattern without quotes is an alias in the eyes of YAML. */
function hintFor(source: string): string {
  return source.startsWith('.') ? `; a host pattern goes in quotes: "*${source}"` : ''
}
