/**
 * TLS in front of a listener's parser. New certificates are a new front: handshakes that have begun end in the old one, and
 * connections that stand need none. Each group of certificates has a TLS server of its own, as node's contexts by name
 * (SNICallback) know one certificate alone and could not have EC and RSA side by side; so the ClientHello, which has the
 * name, is read here first.
 */

import { createHash } from 'node:crypto'
import tls from 'node:tls'
import type { Socket } from 'node:net'
import type { ListenerTlsConfig } from '../config/config.ts'
import { pemsIn } from '../config/pem.ts'
import { verifiedCertificate, type ClientCertificate } from '../request/client-certificate.ts'
import { HelloReader, type Hello } from './client-hello.ts'
import { socketBelow } from './tls-below.ts'
import { isSameCertificate } from './tls-certificate.ts'
import type { Handshakes } from './tls-handshakes.ts'
import type { TlsMaterial } from './tls-material.ts'
import { NameTable, type Group } from './tls-names.ts'
import { HAS_EXPIRED } from './tls-refusal.ts'

export interface TlsFrontOptions {
  readonly config: ListenerTlsConfig
  readonly material: TlsMaterial
  readonly ticketKeys: Buffer
  readonly handshakes: Handshakes
  /** In the order of preference (RFC 7301); `alpnProtocol` of a socket says which one it is, false for a client that named none. */
  readonly protocols: readonly string[]
  /** A client's TLS connection stands; with the certificate that the client has shown. */
  readonly onSecure: (socket: tls.TLSSocket, certificate: ClientCertificate | undefined) => void
  readonly onFailed: (error: NodeJS.ErrnoException, socket: tls.TLSSocket) => void
}

/** RFC 8446 6, RFC 6066 3: a fatal alert, before anything is encrypted. */
const UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112])

export class TlsFront {
  readonly material: TlsMaterial
  readonly #options: TlsFrontOptions
  readonly #names: NameTable
  readonly #servers: ReadonlyMap<Group, tls.Server>

  /** Throws where OpenSSL takes no such certificate, key or cipher. */
  constructor(options: TlsFrontOptions) {
    this.#options = options
    this.material = options.material
    this.#names = new NameTable(options.material.certificates)
    const servers = this.#names.groups.map((group) => [group, this.#serverOf(group)] as const)
    this.#servers = new Map(servers)
  }

  /** A client that is about to begin its handshake; it may have done so. */
  accept(socket: Socket): void {
    if (socket.destroyed) return
    // It is remembered for the case that the handshake fails.
    void socket.remoteAddress
    this.#listen(socket)
  }

  /** Takes new ticket keys into use. */
  rotate(keys: Buffer): void {
    for (const server of this.#servers.values()) server.setTicketKeys(keys)
  }

  /** Whether `other` shows clients other certificates. */
  differsFrom({ material: { certificates: others } }: TlsFront): boolean {
    const { certificates } = this.material
    return (
      certificates.length !== others.length ||
      !certificates.every((own, index) => {
        const other = others[index]
        return other !== undefined && isSameCertificate(own, other)
      })
    )
  }

  #serverOf(group: Group): tls.Server {
    const { config, ticketKeys, protocols } = this.#options
    const server = tls.createServer({
      cert: group.map(({ cert }) => cert),
      key: group.map(({ key }) => key),
      minVersion: config.minVersion,
      ...(config.ciphers === undefined ? {} : { ciphers: config.ciphers }),
      handshakeTimeout: config.handshakeTimeoutMs,
      ALPNProtocols: config.http2 ? ['h2', ...protocols] : [...protocols],
      ticketKeys,
      ...this.#clientOptions(),
      sessionIdContext: sessionContext(group, this.#options),
    })
    server.on('secureConnection', this.#onSecure)
    server.on('tlsClientError', this.#onFailed)
    return server
  }

  #clientOptions(): tls.TlsOptions {
    const { config, material } = this.#options
    if (material.clients === undefined) return {}
    const { ca, crl } = material.clients
    return {
      requestCert: true,
      rejectUnauthorized: config.clientCert === 'require',
      ca,
      // Of a text with several node reads the first one alone.
      ...(crl === undefined ? {} : { crl: [...pemsIn(crl.toString('latin1'), 'X509 CRL')] }),
    }
  }

  readonly #onSecure = (socket: tls.TLSSocket): void => {
    const { config, handshakes, onSecure } = this.#options
    const certificate = this.material.clients && this.#certificateOf(socket)
    // OpenSSL refuses others; of a session that is resumed it looks at nothing.
    if (config.clientCert === 'require' && certificate !== undefined && 'failure' in certificate) {
      this.#onFailed(
        Object.assign(new Error('the session is too old'), { code: HAS_EXPIRED }),
        socket,
      )
      socket.destroy()
      return
    }
    handshakes.end(socketBelow(socket), socket.isSessionReused() ? 'resumed' : 'full')
    socket.allowHalfOpen = true
    onSecure(socket, certificate)
  }

  #certificateOf(socket: tls.TLSSocket): ClientCertificate | undefined {
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) return undefined
    // Node's types say it is an Error; it is the code of one.
    if (!socket.authorized) return { failure: String(socket.authorizationError) }
    // Of a session that was resumed node does not know its own certificate.
    const name = typeof socket.servername === 'string' ? socket.servername.toLowerCase() : ''
    const [own] = this.#names.find(name) ?? this.#names.default
    const verified = verifiedCertificate(certificate, own?.uris ?? [])
    return verified.expiresAtMs > Date.now() ? verified : { failure: HAS_EXPIRED }
  }

  readonly #onFailed = (error: NodeJS.ErrnoException, socket: tls.TLSSocket): void => {
    const { handshakes, onFailed } = this.#options
    handshakes.end(socketBelow(socket), 'failed')
    onFailed(error, socket)
  }

  /** Reads the ClientHello: silent clients take no handshake's place, and it says which server the client is for. */
  #listen(socket: Socket): void {
    const reader = new HelloReader()
    const onData = (chunk: Buffer): void => {
      const hello = reader.read(chunk)
      if (hello === 'more') return
      stop()
      if (socket.destroyed) return
      socket.pause()
      socket.unshift(reader.bytes)
      this.#direct(socket, hello)
    }
    const onGone = (): void => {
      stop()
      this.#options.handshakes.end(socket, 'failed')
      socket.destroy()
    }
    const gone = ['end', 'error', 'close'] as const
    const timer = setTimeout(onGone, this.#options.config.handshakeTimeoutMs)
    const stop = (): void => {
      clearTimeout(timer)
      socket.off('data', onData)
      for (const event of gone) socket.off(event, onGone)
    }
    for (const event of gone) socket.on(event, onGone)
    socket.on('data', onData)
    socket.resume()
  }

  #direct(socket: Socket, hello: Hello | undefined): void {
    const { handshakes, config } = this.#options
    if (!handshakes.begin(socket)) {
      socket.destroy()
      return
    }
    const group = hello?.name === undefined ? undefined : this.#names.find(hello.name)
    if (group === undefined && config.unknownNames === 'refuse') {
      handshakes.end(socket, 'failed')
      socket.on('error', () => socket.destroy())
      socket.end(UNRECOGNIZED_NAME, () => socket.destroy())
      return
    }
    handOver(socket, this.#servers.get(group ?? this.#names.default) as tls.Server)
  }
}

function handOver(socket: Socket, server: tls.Server): void {
  // Whoever ends in the middle of its handshake has left, and shall not keep its place until the timeout.
  socket.allowHalfOpen = false
  server.emit('connection', socket)
}

/**
 * A session is resumed for the names that it began with. It is as good as the certificate that the client has shown then, so
 * that it ends when clients are verified in another way; and it has a cipher, at which OpenSSL does not look again. At most
 * 32 bytes, by OpenSSL.
 */
function sessionContext(group: Group, { config, material: { clients } }: TlsFrontOptions): string {
  const names = [...new Set(group.flatMap((certificate) => certificate.names))].toSorted()
  const { clientCert, ciphers, minVersion } = config
  const hash = createHash('sha256').update(
    JSON.stringify([names, clientCert, ciphers ?? null, minVersion]),
  )
  for (const content of [clients?.ca, clients?.crl]) {
    hash.update(`${content?.length ?? 0} `).update(content ?? '')
  }
  return hash.digest('hex').slice(0, 32)
}
