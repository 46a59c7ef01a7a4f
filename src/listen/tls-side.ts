/** The TLS of one listener: the front that its clients meet now, and what outlives each front. */

import type { Socket } from 'node:net'
import type { ListenerTlsConfig } from '../config/config.ts'
import type { ClientCertificate } from '../request/client-certificate.ts'
import type { Refused } from '../share.ts'
import type { KeyOf } from './connection-places.ts'
import type { LoadedCertificate } from './tls-certificate.ts'
import { TlsFront, type TlsFrontOptions } from './tls-front.ts'
import { Handshakes, type HandshakeCounts } from './tls-handshakes.ts'
import { readMaterial, renewMaterial, type NotRenewed, type TlsMaterial } from './tls-material.ts'
import { TicketKeys } from './tls-tickets.ts'

/** What has become of certificates whose files were read again. */
export interface RenewedCertificates {
  readonly renewed: readonly LoadedCertificate[]
  /** Of authorities of clients, and their lists. */
  readonly renewedFiles: readonly string[]
  readonly failed: readonly NotRenewed[]
}

/** A front that is ready to be used. */
export interface NextFront {
  readonly config: ListenerTlsConfig
  readonly front: TlsFront
}

/** Throws an Error that names the file that cannot be read, or holds nothing of use. */
export function checkTls(config: ListenerTlsConfig): void {
  const side = new TlsSide({
    protocols: [],
    keyOf: () => undefined,
    onSecure: () => {},
    onFailed: () => {},
  })
  side.prepare(config)
  side.close()
}

export interface TlsSideOptions extends Pick<
  TlsFrontOptions,
  'protocols' | 'onSecure' | 'onFailed'
> {
  /** For whom a handshake counts. */
  readonly keyOf: KeyOf
}

export class TlsSide {
  readonly #options: TlsSideOptions
  readonly #handshakes: Handshakes
  readonly #shown = new WeakMap<object, ClientCertificate>()
  /** Made with the first front. */
  #tickets: TicketKeys | undefined
  #current: NextFront | undefined

  constructor(options: TlsSideOptions) {
    this.#options = options
    this.#handshakes = new Handshakes(options.keyOf)
  }

  /** Whether clients speak TLS now. */
  get isOn(): boolean {
    return this.#current !== undefined
  }

  /** What clients are shown now. */
  get certificates(): readonly LoadedCertificate[] {
    return this.#current?.front.material.certificates ?? []
  }

  /** Of all fronts so far; undefined where there was none. */
  get handshakes(): HandshakeCounts | undefined {
    return this.#tickets && this.#handshakes.counts
  }

  /** Clients that found no place for their handshake. */
  get refused(): Refused {
    return this.#handshakes.refused
  }

  /** Throws an Error that names the file that cannot be read, or holds nothing of use. */
  prepare(config: ListenerTlsConfig | undefined): NextFront | undefined {
    return config && { config, front: this.#frontOf(config, readMaterial(config)) }
  }

  /** Whether `next` shows clients other certificates than they are shown now. */
  isNew(next: NextFront | undefined): boolean {
    if (next === undefined) return false
    return this.#current === undefined || next.front.differsFrom(this.#current.front)
  }

  /** Clients meet `next` from now on; undefined for those that speak plain HTTP. */
  use(next: NextFront | undefined): void {
    this.#current = next
    if (next === undefined) return
    this.#handshakes.max = next.config.handshakesMax
    // They may have changed since it was made.
    if (this.#tickets !== undefined) next.front.rotate(this.#tickets.current)
  }

  /** A client that is about to begin with TLS, or has begun. It must be on. */
  accept(socket: Socket): void {
    this.#current?.front.accept(socket)
  }

  /** Reads the files again, and shows what is new in them to new clients. A pair of files that is wrong stays as it was. */
  renew(): RenewedCertificates {
    if (this.#current === undefined) return { renewed: [], renewedFiles: [], failed: [] }
    const { config, front } = this.#current
    const { material, ...result } = renewMaterial(front.material, config)
    if (result.renewed.length > 0 || result.renewedFiles.length > 0) {
      this.use({ config, front: this.#frontOf(config, material) })
    }
    return result
  }

  /** What the client of a TLS socket has shown. */
  certificateOf(socket: object): ClientCertificate | undefined {
    return this.#shown.get(socket)
  }

  close(): void {
    this.#tickets?.close()
  }

  #frontOf(config: ListenerTlsConfig, material: TlsMaterial): TlsFront {
    this.#tickets ??= new TicketKeys((keys) => this.#current?.front.rotate(keys))
    const { current: ticketKeys } = this.#tickets
    const handshakes = this.#handshakes
    const onSecure = this.#onSecure
    return new TlsFront({ ...this.#options, onSecure, config, material, ticketKeys, handshakes })
  }

  readonly #onSecure: TlsFrontOptions['onSecure'] = (socket, certificate) => {
    if (certificate !== undefined) this.#shown.set(socket, certificate)
    this.#options.onSecure(socket, certificate)
  }
}
