/** A server with TLS of its own that tells how it was connected to. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { WebSocketServer } from 'ws'

const folder = join(import.meta.dirname, '../fixtures/tls')
const fixture = {
  cert: readFileSync(join(folder, 'cert.pem')),
  key: readFileSync(join(folder, 'key.pem')),
}

export interface SecureServer extends AsyncDisposable {
  readonly url: string
  /** Whether each connection so far has resumed a session. */
  readonly reused: readonly boolean[]
  /** The subject of each client certificate so far. */
  readonly subjects: readonly (string | undefined)[]
}

/** For localhost and 127.0.0.1, with a certificate of the authority in fixtures/tls/ca.pem unless `options` say otherwise. Echoes WebSocket messages, and answers everything else with `ok`. */
export async function secureServer(options: TlsOptions = {}): Promise<SecureServer> {
  const reused: boolean[] = []
  const subjects: (string | undefined)[] = []
  const sockets = new Set<Socket>()
  const https = createHttpsServer({ ...fixture, ...options }, (_request, response) => {
    response.end('ok')
  })
  https.on('connection', (socket: Socket) => sockets.add(socket))
  https.on('secureConnection', (socket: TLSSocket) => {
    reused.push(socket.isSessionReused())
    subjects.push([socket.getPeerCertificate().subject?.CN].flat().at(0))
  })
  const webSockets = new WebSocketServer({ server: https })
  webSockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  https.listen(0, '127.0.0.1')
  await once(https, 'listening')
  return {
    url: `https://127.0.0.1:${(https.address() as AddressInfo).port}`,
    reused,
    subjects,
    async [Symbol.asyncDispose]() {
      const closed = once(https, 'close')
      https.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
