/** What a gateway is to the runner: how it is set up, where it listens, and which works it leaves out. */

export interface Peer {
  readonly name: string
  /** How it is set up, for the reader of the results. */
  readonly about: string
  /** The name of the peer that this is another setting of: it takes part only in works that name it. */
  readonly variantOf?: string
  /** Why it takes no part, by the name of the work. */
  readonly absences?: Readonly<Record<string, string>>
  /** Its version, or `undefined` where it is not installed. */
  version(): string | undefined
  plan(place: Place): Plan
}

/** Where a peer has to listen, on 127.0.0.1, and what it has to forward to. */
export interface Place {
  readonly port: number
  /** For its own use, e.g. an admin listener. */
  readonly sparePort: number
  /** A listener for HTTP/2 with prior knowledge, where the peer serves WebSockets over it. */
  readonly http2Port: number
  readonly upstreamPort: number
  /** Its own, for the files of its plan and for what it writes. */
  readonly directory: string
  /** A second listener, of TLS 1.3 in front of the same upstream; `undefined` where there is no certificate. */
  readonly tls: TlsPlace | undefined
}

interface TlsPlace extends Certificate {
  readonly port: number
}

/** PEM files. */
export interface Certificate {
  readonly certificateFile: string
  readonly keyFile: string
  /** The certificate, then the key. */
  readonly bothFile: string
}

interface Plan {
  readonly command: string
  readonly args: readonly string[]
  /** Contents by name, written to the directory before the start. */
  readonly files: Readonly<Record<string, string>>
  readonly environment?: Readonly<Record<string, string>>
}
