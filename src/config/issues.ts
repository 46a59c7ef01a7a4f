/** Turns what zod found into findings: one for each thing to put right, in the words of the schema. */

import type { z } from 'zod'

import type { Finding, Path } from './problem.ts'

type Issue = z.core.$ZodIssue

/** `raw` is what was parsed: it tells a value of the wrong kind from one that is missing. */
export function findingsOf(error: z.ZodError, raw: unknown): Finding[] {
  const findings = error.issues.flatMap((issue) => findingsOfIssue(issue, [], raw))
  const meant = new Set(findings.flatMap(meantBy))
  return findings.filter((finding) => !isConsequence(finding, meant))
}

function findingsOfIssue(issue: Issue, base: Path, raw: unknown): Finding[] {
  const path: Path = [
    ...base,
    ...issue.path.map((step) => (typeof step === 'number' ? step : String(step))),
  ]
  if (issue.code === 'unrecognized_keys') {
    const texts = issue.message.split('\n')
    return issue.keys.map((key, index) => ({
      path: [...path, key],
      text: texts[index] ?? issue.message,
      atKey: true,
    }))
  }
  if (issue.code === 'invalid_key') {
    return [{ path, text: issue.issues[0]?.message ?? issue.message, atKey: true }]
  }
  if (issue.code === 'invalid_union') {
    const inner = fittingBranch(issue)
    if (inner !== undefined) return inner.flatMap((each) => findingsOfIssue(each, path, raw))
  }
  const value = valueAt(raw, path)
  if (value === undefined) return [{ path, text: `missing; ${issue.message}` }]
  const kind = kindOf(value)
  const isWrongKind = issue.code === 'invalid_type' || issue.code === 'invalid_union'
  if (isWrongKind && typeof value === 'string' && /^[\w-]+:\S/.test(value)) {
    return [{ path, text: `${issue.message}; a blank belongs behind the colon of a key` }]
  }
  const text = isWrongKind && kind !== undefined ? `${issue.message}; got ${kind}` : issue.message
  return [{ path, text }]
}

/** Of several forms a value may have, the one that it has, though not without mistakes: those are what to tell. */
function fittingBranch(issue: z.core.$ZodIssueInvalidUnion): Issue[] | undefined {
  const fitting = issue.errors.filter(
    (issues) =>
      issues.length > 0 &&
      !issues.some(
        (each) =>
          each.path.length === 0 && (each.code === 'invalid_type' || each.code === 'invalid_value'),
      ),
  )
  return fitting.length === 1 ? fitting[0] : undefined
}

/** The key that a mistyped one was probably meant to be. */
function meantBy({ path, text }: Finding): string[] {
  const [, name] = /did you mean "(.*)"\?$/.exec(text) ?? []
  return name === undefined ? [] : [JSON.stringify([...path.slice(0, -1), name])]
}

/** A key that is missing only because its name was mistyped is told once. */
function isConsequence({ path, text }: Finding, meant: ReadonlySet<string>): boolean {
  return text.startsWith('missing; ') && meant.has(JSON.stringify(path))
}

export function valueAt(raw: unknown, path: Path): unknown {
  let value = raw
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string | number, unknown>)[step]
  }
  return value
}

/** In the words of YAML; undefined for text, of which the picture tells more. */
function kindOf(value: unknown): string | undefined {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (typeof value === 'string') return undefined
  return typeof value === 'number' ? 'a number' : `${value === true}`
}
