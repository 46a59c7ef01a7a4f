/** What becomes of the requests that listeners hand on; it knows who is in the middle of a handshake. */

import { randomUUID } from 'node:crypto'
import type http from 'node:http'
import { decide, type Decision } from './decide.ts'
import type { Refusal } from './errors.ts'
import { serializeHead } from './handshake/answer.ts'
import type { Client } from './handshake/client.ts'
import { refusalAnswer } from './handshake/refuse.ts'
import type { Arrival, ListenHandlers } from './listen/arrival.ts'
import { servePlain, serveRefused, type PlainExchanges } from './plain.ts'
import type { Plane } from './plane.ts'
import { plainAddress } from './request/address-set.ts'
import type { Connection, RequestHead } from './request/facts.ts'
import { serveUpgrade, takeClient, type Exchanges } from './upgrade.ts'

export class Requests implements ListenHandlers<Decision> {
  readonly #exchanges: Exchanges & PlainExchanges
  readonly #plane: () => Plane
  readonly #handshakes = new Map<Promise<void>, Client>()

  /** `plane`: the one under which a request is decided that comes now. */
  constructor(exchanges: Exchanges & PlainExchanges, plane: () => Plane) {
    this.#exchanges = exchanges
    this.#plane = plane
  }

  decide(head: RequestHead, connection: Connection): Decision {
    return decide(this.#plane(), head, connection)
  }

  upgrade(decision: Decision, arrival: Arrival): void {
    if (!decision.upgrades) throw new Error('the listener upgrades what was not to be upgraded')
    const client = takeClient(decision, arrival)
    const done = serveUpgrade(this.#exchanges, decision, client)
    this.#handshakes.set(done, client)
    void done.finally(() => this.#handshakes.delete(done))
  }

  plain(decision: Decision, request: http.IncomingMessage, response: http.ServerResponse): void {
    if ('refusal' in decision) void serveRefused(this.#exchanges, decision, request, response)
    else if (!decision.upgrades) void servePlain(this.#exchanges, decision, request, response)
  }

  broken(refusal: Refusal, peerAddress: string): string {
    const requestId = randomUUID()
    const clientIp = plainAddress(peerAddress) ?? ''
    this.#exchanges.report.broken({ requestId, clientIp, refusal })
    const answer = refusalAnswer(refusal, requestId)
    const head = serializeHead({ ...answer, fields: [...answer.fields, 'Connection', 'close'] })
    return Buffer.isBuffer(answer.body) ? head + answer.body.toString('latin1') : head
  }

  servesWebSocket(): boolean {
    return this.#plane().servesWebSocket
  }

  trusts(peerAddress: string): boolean {
    return this.#plane().trusted.has(peerAddress)
  }

  trustedBlocks(): Uint8Array {
    return this.#plane().trustedBlocks
  }

  /** Fulfilled when no handshake is in progress. */
  async handshakesDone(): Promise<void> {
    while (this.#handshakes.size > 0) await Promise.all(this.#handshakes.keys())
  }

  /** Cuts the clients of handshakes in progress. */
  destroy(): void {
    for (const client of this.#handshakes.values()) client.destroy()
  }
}
