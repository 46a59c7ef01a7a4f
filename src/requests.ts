/** What becomes of the requests that listeners hand on; it knows which exchanges are in progress. */

import { randomUUID } from 'node:crypto'
import { decide, type Decision } from './decide.ts'
import { Refusal } from './errors.ts'
import { refusalAnswer } from './handshake/refuse.ts'
import type { Client } from './http1/client.ts'
import { serializeHead } from './http1/response-writer.ts'
import type { ListenHandlers } from './listen/handlers.ts'
import { servePlain, serveRefused, type PlainExchanges } from './plain.ts'
import type { Plane } from './plane.ts'
import { plainAddress } from './request/address-set.ts'
import type { Connection, RequestHead } from './request/facts.ts'
import { serveUpgrade, type Exchanges } from './upgrade.ts'

export class Requests implements ListenHandlers {
  readonly #exchanges: Exchanges & PlainExchanges
  readonly #plane: () => Plane
  readonly #inProgress = new Map<Promise<void>, Client>()

  /** `plane`: the one under which a request is decided that comes now. */
  constructor(exchanges: Exchanges & PlainExchanges, plane: () => Plane) {
    this.#exchanges = exchanges
    this.#plane = plane
  }

  request(head: RequestHead, connection: Connection, client: Client): void {
    const done = this.#serve(decide(this.#plane(), head, connection), client)
    this.#inProgress.set(done, client)
    void done.finally(() => this.#inProgress.delete(done))
  }

  broken(refusal: Refusal, peerAddress: string): string {
    const requestId = randomUUID()
    const clientIp = plainAddress(peerAddress) ?? ''
    this.#exchanges.report.broken({ requestId, clientIp, refusal })
    const answer = refusalAnswer(refusal, requestId)
    const head = serializeHead({ ...answer, fields: [...answer.fields, 'Connection', 'close'] })
    return head + answer.body.toString('latin1')
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

  /** Fulfilled when no exchange is in progress. */
  async done(): Promise<void> {
    while (this.#inProgress.size > 0) await Promise.all(this.#inProgress.keys())
  }

  /** Cuts the clients of exchanges in progress. */
  destroy(): void {
    for (const client of this.#inProgress.values()) client.destroy()
  }

  /** Never rejects: whatever is thrown on the way ends one exchange, and no other. */
  async #serve(decision: Decision, client: Client): Promise<void> {
    try {
      if ('refusal' in decision) serveRefused(this.#exchanges, decision, client)
      else if (decision.upgrades) await serveUpgrade(this.#exchanges, decision, client)
      else await servePlain(this.#exchanges, decision, client)
      client.finish()
    } catch (error) {
      client.destroy()
      const { requestId = randomUUID(), clientIp = '' } = decision.facts ?? {}
      const refusal = Refusal.ofError(error)
      this.#exchanges.report.broken({ requestId, clientIp, refusal })
    }
  }
}
