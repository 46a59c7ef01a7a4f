/** What a call of the API is: where it is, what it takes, what it answers. The router and the OpenAPI document are made of these. */

import type { z } from 'zod'
import type { Shape, Values } from './parameters.ts'
import type { ApiParts } from './parts.ts'
import type { Answer } from './problem.ts'
import type { Rates } from './rates.ts'

export type Method = 'GET' | 'POST' | 'DELETE'

/** What is there for every call. */
export interface Desk {
  readonly parts: ApiParts
  readonly rates: Rates
}

export interface Call<Query extends Shape, Options extends Shape> {
  /** What stands in the path where the operation has `{id}` or `{name}`. */
  readonly id: string
  readonly query: Values<Query>
  readonly options: Values<Options>
  /** The address that it came from; undefined for a unix socket. */
  readonly by: string | undefined
}

interface OkAnswer {
  readonly description: string
  readonly schema: z.ZodType
}

export interface OperationSpec<Query extends Shape, Options extends Shape> {
  /** operationId of the document. */
  readonly id: string
  readonly method: Method
  readonly path: string
  readonly summary: string
  /** What stands for `{id}` or `{name}` in the path. */
  readonly named?: string
  /** Parameters that stand in the query. */
  readonly query: Query
  /** Parameters that stand in the query or in a JSON body. */
  readonly options: Options
  readonly answers: Readonly<Record<number, OkAnswer>>
  /** What may be refused besides the call itself, by status. */
  readonly problems: Readonly<Record<number, string>>
  run(desk: Desk, call: Call<Query, Options>): Answer | Promise<Answer>
}

/** One whose parameters are checked when it is called, so that nobody needs to know their types. */
export type Operation = OperationSpec<Shape, Shape>

/** Keeps the types of parameters between what describes them and what reads them. */
export function operation<const Query extends Shape, const Options extends Shape>(
  spec: OperationSpec<Query, Options>,
): Operation {
  return spec
}

export function ok(body: unknown): Answer {
  return { status: 200, body }
}

/** For what goes on after the answer. */
export function accepted(body: unknown): Answer {
  return { status: 202, body }
}
