/** From a method and a path to an operation. */

import type { Operation } from './operation.ts'
import { problem, type Answer } from './problem.ts'

export interface Match {
  readonly operation: Operation
  /** What stands in the path for `{id}` or `{name}`, decoded; empty where nothing does. */
  readonly id: string
}

interface Place {
  readonly pattern: RegExp
  readonly byMethod: Map<string, Operation>
}

export class Router {
  readonly #places = new Map<string, Place>()

  constructor(operations: readonly Operation[]) {
    for (const operation of operations) {
      const place = this.#places.get(operation.path) ?? {
        pattern: patternOf(operation.path),
        byMethod: new Map<string, Operation>(),
      }
      place.byMethod.set(operation.method, operation)
      this.#places.set(operation.path, place)
    }
  }

  /** Whether a path belongs to the API, be it that of a call or of none. */
  owns(path: string): boolean {
    return path === '/api' || path.startsWith('/api/') || this.#find(path) !== undefined
  }

  /** The operation, or 404 or 405. HEAD is GET, without the body. */
  match(method: string, path: string): Match | Answer {
    const found = this.#find(path)
    if (found === undefined) {
      return problem(404, 'There is no such call. GET /api lists those that there are.')
    }
    const { byMethod } = found.place
    const operation = byMethod.get(method === 'HEAD' ? 'GET' : method)
    if (operation !== undefined) return { operation, id: found.id }
    const methods = [...byMethod.keys()].flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one]))
    const allow = methods.join(', ')
    return problem(405, `Only ${allow} here.`, { headers: { Allow: allow } })
  }

  #find(path: string): { place: Place; id: string } | undefined {
    for (const place of this.#places.values()) {
      const [whole, segment = ''] = place.pattern.exec(path) ?? []
      const id = decoded(segment)
      if (whole !== undefined && id !== undefined) return { place, id }
    }
    return undefined
  }
}

function patternOf(path: string): RegExp {
  const source = path.replaceAll('.', String.raw`\.`).replace(/\{\w+\}/, '([^/]+)')
  return new RegExp(`^${source}$`)
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
