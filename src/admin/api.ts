/** A call of the API from its request to its answer: who calls, what is called, with which parameters. */

import type { IncomingMessage } from 'node:http'
import { readBody } from './body.ts'
import type { Guard } from './guard.ts'
import type { Desk, Operation } from './operation.ts'
import { operations } from './operations.ts'
import { parseParameters, queryOf, unknownParameters } from './parameters.ts'
import type { Raw, Shape, Values } from './parameters.ts'
import type { ApiParts } from './parts.ts'
import { problem, type Answer } from './problem.ts'
import { Rates } from './rates.ts'
import { Router } from './router.ts'

export class Api {
  readonly #router = new Router(operations)
  readonly #desk: Desk

  constructor(parts: ApiParts) {
    this.#desk = { parts, rates: new Rates() }
  }

  /** Whether a path belongs to the API. */
  owns(path: string): boolean {
    return this.#router.owns(path)
  }

  /** Never rejects. */
  async answer(request: IncomingMessage, guard: Guard): Promise<Answer> {
    const { path, search } = targetOf(request)
    const refusal = guard.refuseCall(request)
    if (refusal !== undefined) return refusal
    const match = this.#router.match(request.method ?? '', path)
    if ('status' in match) return match
    try {
      return await this.#call(request, match.operation, { id: match.id, search })
    } catch (error) {
      const { method, path: place } = match.operation
      const cause = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#desk.parts.report.adminFailed({ method, path: place, cause })
      return problem(500, 'The gateway is at fault.')
    }
  }

  async #call(
    request: IncomingMessage,
    operation: Operation,
    { id, search }: { id: string; search: string },
  ): Promise<Answer> {
    const by = request.socket.remoteAddress
    const body = await readBody(request)
    if ('status' in body) return body
    const asked = queryOf(search)
    const { query, options } = operation
    const unknown = unknownParameters(Object.keys(body.value), Object.keys(options))
    const twice = Object.keys(body.value)
      .filter((name) => Object.hasOwn(asked.raw, name))
      .map((name) => `${name} is in the query and in the body`)
    const known = Object.entries(body.value).filter(([name]) => Object.hasOwn(options, name))
    const merged = parseParameters(
      { ...query, ...options },
      { ...asked.raw, ...(Object.fromEntries(known) as Raw) },
    )
    const problems = [...asked.problems, ...unknown, ...twice, ...merged.problems]
    if (problems.length > 0) {
      return problem(400, sentenceOf(problems), problems.length === 1 ? {} : { problems })
    }
    const { values } = merged
    return operation.run(this.#desk, {
      id,
      by,
      query: pick(values, query),
      options: pick(values, options),
    })
  }
}

function sentenceOf(problems: readonly string[]): string {
  const text = problems.join('; ')
  return text.endsWith('?') ? text : `${text}.`
}

/** The path of a request, and its query without the question mark. */
export function targetOf({ url = '' }: IncomingMessage): { path: string; search: string } {
  const mark = url.indexOf('?')
  return mark < 0
    ? { path: url, search: '' }
    : { path: url.slice(0, mark), search: url.slice(mark + 1) }
}

/** Of all values those that a shape has. */
function pick<S extends Shape>(values: Readonly<Record<string, unknown>>, shape: S): Values<S> {
  const names = Object.keys(shape)
  return Object.fromEntries(names.map((name) => [name, values[name]])) as Values<S>
}
