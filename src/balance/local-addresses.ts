/** From which addresses of this machine an upstream's endpoints are connected to: each address has its own ports for each of them. */

import { isIP } from 'node:net'

export class LocalAddresses {
  readonly addresses: readonly string[]
  readonly #byFamily: ReadonlyMap<number, readonly string[]>
  #turn = 0

  /** `previous`, with its turn, where it has the same addresses. */
  static of(
    addresses: readonly string[] | undefined,
    previous?: LocalAddresses,
  ): LocalAddresses | undefined {
    if (addresses === undefined) return undefined
    const isSame = previous?.addresses.join() === addresses.join()
    return isSame ? previous : new LocalAddresses(addresses)
  }

  /** `addresses` are IP addresses, of one family or of both. */
  constructor(addresses: readonly string[]) {
    this.addresses = addresses
    this.#byFamily = new Map(
      [4, 6].map((family) => [family, addresses.filter((address) => isIP(address) === family)]),
    )
  }

  /** Whether there is one of the family of `host`. */
  has(host: string): boolean {
    return this.#of(host).length > 0
  }

  /** Those of the family of `host`, an IP address, once each: another one is the first at each call. */
  inTurn(host: string): readonly string[] {
    const addresses = this.#of(host)
    if (addresses.length < 2) return addresses
    const first = this.#turn % addresses.length
    this.#turn = first + 1
    return [...addresses.slice(first), ...addresses.slice(0, first)]
  }

  #of(host: string): readonly string[] {
    return this.#byFamily.get(isIP(host)) ?? []
  }
}
