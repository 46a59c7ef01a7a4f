/** Where an endpoint may be connected to, and from where, one try after the other. */

import type { LocalAddresses } from '../balance/local-addresses.ts'
import { Refusal } from '../errors.ts'
import { isExhaustion } from '../exhausted.ts'

export interface TcpTarget {
  readonly kind: 'tcp'
  /** An IP address. */
  readonly host: string
  readonly port: number
  /** An address of this machine, of the same family. The kernel picks one where it is left out. */
  readonly from?: string
}

export class Targets {
  readonly #hosts: string[]
  readonly #port: number
  readonly #local: LocalAddresses | undefined
  /** Of the target that was taken last: its host, and what else it may be connected to from. */
  #host = ''
  #froms: string[] = []

  /** `hosts` are the endpoint's IP addresses. Those of which `local` has no address of the same family are left out. */
  constructor(hosts: readonly string[], port: number, local: LocalAddresses | undefined) {
    this.#hosts = hosts.filter((host) => local === undefined || local.has(host))
    this.#port = port
    this.#local = local
  }

  /** How many hosts are left. */
  get left(): number {
    return this.#hosts.length
  }

  /** The next host; undefined when there is none. */
  next(): TcpTarget | undefined {
    const host = this.#hosts.shift()
    if (host === undefined) return undefined
    this.#host = host
    if (this.#local === undefined) return { kind: 'tcp', host, port: this.#port }
    this.#froms = [...this.#local.inTurn(host)]
    return this.#nextFrom()
  }

  /** After a failure with an error's `code`: the same host from another address, where it is ours that cannot be had; else the next host. */
  after(code: string | undefined): TcpTarget | undefined {
    // No address is reached without a descriptor.
    if (isExhaustion(code)) return undefined
    const isOurs = code !== undefined && ownFailures.has(code)
    return (isOurs ? this.#nextFrom() : undefined) ?? this.next()
  }

  #nextFrom(): TcpTarget | undefined {
    const from = this.#froms.shift()
    return from === undefined
      ? undefined
      : { kind: 'tcp', host: this.#host, port: this.#port, from }
  }
}

/** The machine does not have the address, or all its ports are taken. */
const ownFailures: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EADDRINUSE'])

/** Of all `hosts` none can be connected to, for want of an address of ours. */
export function noLocalAddress(hosts: readonly string[]): Refusal {
  const cause = `localAddress has no address of the family of ${hosts.join(', ')}`
  return new Refusal('E_UPSTREAM_UNREACHABLE', { cause })
}
