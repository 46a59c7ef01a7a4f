/** Parameters of a call, from its query or its JSON body: checked one by one, with everything that is wrong told at once. */

import type { z } from 'zod'
import { nearest } from '../config/section.ts'

/** Parameters by name. */
export type Shape = Readonly<Record<string, z.ZodType>>

export type Values<S extends Shape> = { readonly [Name in keyof S]: z.output<S[Name]> }

/** Parameters as they came: text in a query, anything in a body. */
export type Raw = Readonly<Record<string, unknown>>

export interface Parsed {
  readonly values: Readonly<Record<string, unknown>>
  /** A sentence each. */
  readonly problems: readonly string[]
}

/** Every value goes through its schema, whether it is there or not: defaults are made there. */
export function parseParameters(shape: Shape, raw: Raw): Parsed {
  const values: Record<string, unknown> = {}
  const problems = unknownParameters(Object.keys(raw), Object.keys(shape))
  for (const [name, schema] of Object.entries(shape)) {
    const parsed = schema.safeParse(raw[name])
    if (parsed.success) values[name] = parsed.data
    else problems.push(...parsed.error.issues.map(({ message }) => `${name}: ${message}`))
  }
  return { values, problems }
}

/** A sentence for each of `names` that is not `known`. */
export function unknownParameters(names: readonly string[], known: readonly string[]): string[] {
  return names.filter((name) => !known.includes(name)).map((name) => unknownParameter(name, known))
}

function unknownParameter(name: string, known: readonly string[]): string {
  const shown = JSON.stringify(name.slice(0, 64))
  if (known.length === 0) return `there is no parameter ${shown}; this call takes none`
  const meant = nearest(name.slice(0, 64), known)
  return meant === undefined
    ? `there is no parameter ${shown}; there are ${known.join(', ')}`
    : `there is no parameter ${shown}, did you mean ${meant}?`
}

/** The parameters of a query, and those that are there twice. */
export function queryOf(search: string): { raw: Raw; problems: string[] } {
  const raw: Record<string, string> = Object.create(null) as Record<string, string>
  const twice = new Set<string>()
  for (const [name, value] of new URLSearchParams(search)) {
    if (name in raw) twice.add(name)
    raw[name] = value
  }
  return { raw, problems: [...twice].map((name) => `${name} is there twice`) }
}
