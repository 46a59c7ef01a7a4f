/** The client's side of an exchange: whether it is still there, and what it may be sent before the answer. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Fields } from '../errors.ts'
import { serializeHead } from '../handshake/answer.ts'
import { resetSocket } from '../relay/reset.ts'
import type { EndReason } from '../relay/tunnel-end.ts'

/** An informational answer (1xx). */
export interface Information {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
}

export class Client implements Disposable {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly httpVersion: '1.0' | '1.1'
  /** It sends its body when it is told to continue. */
  awaitsContinue: boolean
  /** The connection closed before the answer was out. */
  isGone: boolean
  onGone: (() => void) | undefined

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.req = req
    this.res = res
    this.httpVersion = req.httpVersionMinor === 0 ? '1.0' : '1.1'
    this.awaitsContinue =
      this.httpVersion === '1.1' && /(?:^|\W)100-continue(?:$|\W)/i.test(req.headers.expect ?? '')
    this.isGone = res.destroyed || req.socket.destroyed
    res.on('close', this.#onClose)
  }

  readonly #onClose = (): void => {
    if (this.res.writableFinished) return
    this.isGone = true
    this.onGone?.()
  }

  /** How the client's connection ended. */
  get goneBy(): EndReason {
    return this.req.socket.errored === null ? 'eof' : 'reset'
  }

  /**
   * RFC 9110 15.2: a proxy forwards 1xx answers, though not to HTTP/1.0, which has none. Behind a pipelined answer that
   * is not out yet there is no place for them.
   */
  inform({ status, reason, fields }: Information): void {
    const { res } = this
    if (this.httpVersion === '1.0' || res.socket === null) return
    if (status !== 100) {
      res.socket.write(serializeHead({ status, reason, fields }), 'latin1')
    } else if (this.awaitsContinue) {
      this.awaitsContinue = false
      res.writeContinue()
    }
  }

  /** Closes the connection in a way that makes a begun answer look cut off. */
  cutOff(endsWithConnection: boolean): void {
    const { socket } = this.req
    if (endsWithConnection) resetSocket(socket)
    else socket.destroy()
  }

  [Symbol.dispose](): void {
    this.onGone = undefined
    this.res.off('close', this.#onClose)
  }
}
