/**
 * What is wrong with a configuration, told so that it can be put right: where, what, and what would be right, with a
 * picture of the line. Secrets that stand in the file never get into a picture.
 */

import { visibleLines as visible } from '../base/visible.ts'

/** Keys and indexes from the root of the file to a value. */
export type Path = readonly (string | number)[]

/** A problem before its place in the file is known. */
export interface Finding {
  readonly path: Path
  /** What is wrong and what would be right. */
  readonly text: string
  /** Points at the key instead of at its value. */
  readonly atKey?: boolean
}

/** A place in a file; line and column count from 1. */
export interface Place {
  readonly line: number
  readonly column: number
  /** The whole line. */
  readonly source: string
}

export interface Problem {
  /** The file's name as the user gave it. */
  readonly file: string
  /** Unset when the file could not be read at all. */
  readonly place: Place | undefined
  /** As in `routes[2].upstream`; empty for the file as a whole. */
  readonly path: string
  readonly text: string
}

/** So many problems are told; of the others their number. */
export const PROBLEMS_MAX = 100

const pictureColumnsMax = 100

/** A longer line is not shown: nobody wrote it by hand, and secrets are looked for in all of a line. */
const lineCharsMax = 10_000

/** A longer key is cut. */
const stepCharsMax = 100

/** What is wrong with a configuration. `message` holds the problems, ready to print. */
export class ConfigError extends Error {
  /** The first ones, in the order of the file. */
  readonly problems: readonly Problem[]
  /** How many there are besides. */
  readonly more: number

  constructor(problems: readonly Problem[], more = 0) {
    const others = Math.max(0, more)
    super([...problems.map(formatProblem), ...moreLines(others, 'problem')].join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
    this.more = others
  }
}

/** The line that stands for what is left out of a list; none where nothing is. */
export function moreLines(count: number, what: string): string[] {
  if (count <= 0) return []
  return [`... and ${count.toLocaleString('en')} more ${what}${count === 1 ? '' : 's'}`]
}

/** `routes[2].match.host`; a key that is not a plain word goes in quotes. */
export function formatPath(path: Path): string {
  let text = ''
  for (const each of path) {
    const step = typeof each === 'string' ? cut(each) : each
    if (typeof step === 'number') text += `[${step}]`
    else if (!/^[\w-]+$/.test(step)) text += `[${JSON.stringify(step)}]`
    else text += text === '' ? step : `.${step}`
  }
  return text
}

function cut(step: string): string {
  return step.length > stepCharsMax ? `${step.slice(0, stepCharsMax)}…` : step
}

/** `file:line:column: path: text`, and below it the line with a caret. */
export function formatProblem(problem: Problem): string {
  const { file, place, path, text } = problem
  const where = place === undefined ? file : `${file}:${place.line}:${place.column}`
  const headline = [where, path, text].filter((part) => part !== '').join(': ')
  if (place === undefined || place.source.length > lineCharsMax) return headline
  // The value of a secret may stand on a line of its own, below its key.
  const line = /\.(?:secret|token)$/.test(path)
    ? place.source.slice(0, place.column - 1) +
      place.source.slice(place.column - 1).replace(/./g, '*')
    : withoutSecrets(place.source)
  return `${headline}\n${picture(place, line)}`
}

function picture(place: Place, line: string): string {
  // A long line is cut so that the caret stays in view.
  const start = place.column > pictureColumnsMax ? place.column - pictureColumnsMax / 2 : 0
  const shown = visible(line.slice(start, start + pictureColumnsMax))
  const gutter = `${place.line} | `
  // Tabs stay tabs, so that the caret stands below its character however wide a tab is.
  const indent = visible(line.slice(start, place.column - 1)).replace(/[^\t]/g, ' ')
  return `  ${gutter}${shown}\n  ${' '.repeat(gutter.length - 2)}| ${indent}^`
}

/** Covers the values of `secret`, `token` and fields with credentials, and the credentials in a URL; the length stays, so that columns stay right. */
function withoutSecrets(line: string): string {
  return line
    .replace(
      /(\b(?:(?:secret|token)["']?\s*:\s*|(?:authorization|cookie|x-api-key)["']?\s*:\s+))(\S.*)$/i,
      (_, key: string, value: string) => key + '*'.repeat(value.length),
    )
    .replace(/(:\/\/)([^/\s"']+)@/g, (_, slashes: string, credentials: string) => {
      return `${slashes}${'*'.repeat(credentials.length)}@`
    })
}
