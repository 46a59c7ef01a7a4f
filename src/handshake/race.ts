/**
 * Which of an endpoint's addresses is tried when (RFC 8305 5): the next one is due 250 ms after the one before it, while
 * that one goes on, and at once when one has failed. The first that connects wins. It opens nothing and holds no timer.
 */

import { isIPv6 } from 'node:net'
import type { LocalAddresses } from '../balance/local-addresses.ts'
import { Targets, type TcpTarget } from './targets.ts'

/** RFC 8305 5: the Connection Attempt Delay. */
export const ATTEMPT_DELAY_MS = 250

/** RFC 8305 4: families alternate, beginning with that of the first address; within one the resolver's order stays. */
export function interleaved(hosts: readonly string[]): readonly string[] {
  const [first] = hosts
  if (first === undefined) return hosts
  const isFirstFamily = (host: string): boolean => isIPv6(host) === isIPv6(first)
  const same = hosts.filter(isFirstFamily)
  const others = hosts.filter((host) => !isFirstFamily(host))
  return same
    .flatMap((host, index) => [host, ...others.slice(index, index + 1)])
    .concat(others.slice(same.length))
}

export class Race<Failure> {
  readonly #waiting: Targets[]
  /** What goes on, each with what else it may be tried from. */
  readonly #running = new Map<TcpTarget, Targets>()
  #failure: Failure | undefined

  /** `hosts` are IP addresses, in the resolver's order. Those of which `local` has no address of the same family are left out. */
  constructor(hosts: readonly string[], port: number, local: LocalAddresses | undefined) {
    this.#waiting = interleaved(hosts)
      .map((host) => new Targets([host], port, local))
      .filter(({ left }) => left > 0)
  }

  /** Whether another address is to be tried `ATTEMPT_DELAY_MS` after the last start. */
  get hasNext(): boolean {
    return this.#waiting.length > 0
  }

  /** Nothing goes on, and nothing is left. */
  get isLost(): boolean {
    return this.#running.size === 0 && this.#waiting.length === 0
  }

  /** That of the first address that failed: the resolver's first choice tells most. */
  get failure(): Failure | undefined {
    return this.#failure
  }

  /** What is to be started now; undefined where nothing is left. */
  start(): TcpTarget | undefined {
    const targets = this.#waiting.shift()
    const target = targets?.next()
    if (targets !== undefined && target !== undefined) this.#running.set(target, targets)
    return target
  }

  /** `target` failed with an error's `code`. Returns what is to be started in its place, at once. */
  failed(target: TcpTarget, code: string | undefined, failure: Failure): TcpTarget | undefined {
    const targets = this.#running.get(target)
    this.#running.delete(target)
    const again = targets?.after(code)
    if (targets !== undefined && again !== undefined) {
      this.#running.set(again, targets)
      return again
    }
    this.#failure ??= failure
    return this.start()
  }
}
