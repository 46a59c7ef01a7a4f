/** TLS in front of a listener's parser. A new certificate is a new front: handshakes that have begun end in the old one, and connections that stand need none. */

import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import type { Socket } from 'node:net'

export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

export interface TlsFrontOptions {
  readonly files: TlsFiles
  /** For the whole TLS handshake. */
  readonly handshakeTimeoutMs: number
  /** A client's TLS connection stands. */
  readonly onSecure: (socket: tls.TLSSocket) => void
  readonly onFailed: (error: NodeJS.ErrnoException, socket: tls.TLSSocket) => void
}

/** Throws when one of the files cannot be read or holds nothing of use. */
export function checkTls({ cert, key }: TlsFiles): void {
  void tls.createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) })
}

export class TlsFront {
  readonly #server: tls.Server
  readonly #cert: Buffer
  readonly #key: Buffer

  /** Reads the files. Throws when one cannot be read or holds nothing of use. Sessions of `previous` are resumed. */
  constructor(options: TlsFrontOptions, previous?: TlsFront) {
    this.#cert = readFileSync(options.files.cert)
    this.#key = readFileSync(options.files.key)
    this.#server = tls.createServer({
      cert: this.#cert,
      key: this.#key,
      handshakeTimeout: options.handshakeTimeoutMs,
      ALPNProtocols: ['http/1.1'],
      ...(previous === undefined ? {} : { ticketKeys: previous.#server.getTicketKeys() }),
    })
    this.#server.on('secureConnection', options.onSecure)
    this.#server.on('tlsClientError', options.onFailed)
  }

  /** A client that is about to begin its handshake; it may have done so. */
  accept(socket: Socket): void {
    this.#server.emit('connection', socket)
  }

  /** Whether `other` shows clients another certificate. */
  differsFrom(other: TlsFront): boolean {
    return !this.#cert.equals(other.#cert) || !this.#key.equals(other.#key)
  }
}
