/** Certificates that are swapped under many tunnels, of HTTP/1.1 and of HTTP/2. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http2'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { openssl, TestAuthority, type Issued } from '../support/certificates.ts'
import { FrameTalk } from '../support/frame-talk.ts'
import { startTestGateway } from '../support/gateway.ts'
import { http2Client, type Http2Client } from '../support/http2-client.ts'
import { handshake, RawClient } from '../support/raw-client.ts'
import { wsServer } from '../support/ws-server.ts'

const SOCKETS = 400
const CONNECTIONS = 5
/** Of each connection that speaks HTTP/2. */
const STREAMS = 20
const TUNNELS = SOCKETS + CONNECTIONS * STREAMS
const NAMES = ['one.test', 'other.test'] as const

const LISTENERS = `listeners:
  - address: "127.0.0.1:0"
    tls:
      http2: true
      certificates: [{ cert: one.pem, key: one-key.pem }, { cert: other.pem, key: other-key.pem }]`

/** Takes any certificate: which one it was is what is tested. */
function options(servername: string): { servername: string; rejectUnauthorized: false } {
  return { servername, rejectUnauthorized: false }
}

/** The files of both names, with certificates of this subject. */
async function pemFiles(
  authority: TestAuthority,
  subject: string,
): Promise<Record<string, string>> {
  const issue = (name: string, keyType: 'rsa' | 'ec'): Promise<Issued> =>
    authority.issue({ subject: `/CN=${subject}`, names: [`DNS:${name}`], keyType, days: 50 })
  const [one, other] = await Promise.all([issue(NAMES[0], 'rsa'), issue(NAMES[1], 'ec')])
  return {
    'one.pem': one.cert,
    'one-key.pem': one.key,
    'other.pem': other.cert,
    'other-key.pem': other.key,
  }
}

/** Clients of one gateway, and what they keep open. */
class Clients implements AsyncDisposable {
  readonly #port: number
  readonly #open = new AsyncDisposableStack()

  constructor(port: number) {
    this.#port = port
  }

  async tlsSocket(servername: string): Promise<tls.TLSSocket> {
    const socket = tls.connect({ host: '127.0.0.1', port: this.#port, ...options(servername) })
    this.#open.defer(async () => {
      socket.destroy()
      if (!socket.closed) await once(socket, 'close')
    })
    await once(socket, 'secureConnect')
    return socket
  }

  async http2(servername: string): Promise<Http2Client> {
    const url = `https://127.0.0.1:${this.#port}`
    return this.#open.use(await http2Client(url, options(servername)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync()
  }
}

async function talkOver(socket: tls.TLSSocket): Promise<FrameTalk> {
  const client = new RawClient(socket)
  client.write(handshake())
  assert.equal((await client.head()).status, 101)
  return new FrameTalk(client.release())
}

async function talkOn(client: Http2Client): Promise<FrameTalk> {
  const stream = client.connect('/')
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  assert.equal(headers[':status'], 200)
  return new FrameTalk(stream)
}

function subjectOf(socket: unknown): string | undefined {
  return (socket as tls.TLSSocket).getPeerX509Certificate()?.subject
}

describe('certificates whose files are swapped', { skip: openssl.skip }, () => {
  it(`are shown to new clients, and none of ${TUNNELS} tunnels notices`, async (test) => {
    await using authority = await TestAuthority.create()
    await using server = await wsServer()
    const yaml = `${LISTENERS}\nroutes: [{ upstream: "${server.url}" }]`
    await using gateway = await startTestGateway(yaml, await pemFiles(authority, 'old'))
    await using clients = new Clients(gateway.port)
    const talks: FrameTalk[] = []
    for (let index = 0; index < SOCKETS; index += 1) {
      talks.push(await talkOver(await clients.tlsSocket(NAMES[index % 2] as string)))
    }
    for (let index = 0; index < CONNECTIONS; index += 1) {
      const client = await clients.http2(NAMES[index % 2] as string)
      talks.push(...(await Promise.all(Array.from({ length: STREAMS }, () => talkOn(client)))))
    }
    await Promise.all(talks.map((one, index) => one.exchange(`${index} before`)))
    assert.equal(gateway.gateway.openTunnels, TUNNELS)

    const swap = new AbortController()
    let messages = 0
    const talk = async (one: FrameTalk, index: number): Promise<void> => {
      for (let serial = 0; !swap.signal.aborted; serial += 1) {
        await one.exchange(`${index} ${serial}`)
        messages += 1
      }
    }
    const talking = Promise.allSettled(talks.map(talk))
    await gateway.rewrite(yaml, await pemFiles(authority, 'new'))
    for (const certificate of NAMES) await gateway.log('certificate reloaded', { certificate })
    for (const name of NAMES) {
      const socket = await clients.tlsSocket(name)
      assert.equal(subjectOf(socket), 'CN=new')
      await (await talkOver(socket)).exchange('by the new certificate')
      const client = await clients.http2(name)
      assert.equal(subjectOf(client.session.socket), 'CN=new')
      await (await talkOn(client)).exchange('by the new certificate, over HTTP/2')
    }
    swap.abort()
    const ends = await talking
    assert.deepEqual(
      ends.filter(({ status }) => status === 'rejected'),
      [],
    )
    await Promise.all(talks.map((one, index) => one.exchange(`${index} after`)))
    test.diagnostic(`${messages} messages while the certificates were swapped`)
    assert.equal(gateway.gateway.openTunnels, TUNNELS + 2 * NAMES.length)
    assert.deepEqual(
      gateway.logs.filter(({ msg }) => msg === 'tunnel close'),
      [],
    )
  })
})
