/** Names that TLS clients ask for and that are none: each gets the default certificate or is refused, and nobody else notices. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { clientHello } from '../support/client-hello.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { RawClient, rawClient } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const read = (name: string): string => readFileSync(join(fixtures, name), 'utf8')

/** The first is for chat.example.com, the second for localhost. */
const files = {
  'a.pem': read('config/tls/cert.pem'),
  'a-key.pem': read('config/tls/key.pem'),
  'b.pem': read('tls/cert.pem'),
  'b-key.pem': read('tls/key.pem'),
}

const ALERT = 21
const HANDSHAKE = 22

function vector(lengthBytes: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(content.length, 0, lengthBytes)
  return Buffer.concat([length, content])
}

/** The ClientHello with another server_name extension (RFC 6066 3) in the place of its own. */
function withServerName(hello: Buffer, extension: Buffer): Buffer {
  const message = hello.subarray(9)
  let at = 34
  at += 1 + message.readUInt8(at)
  at += 2 + message.readUInt16BE(at)
  at += 1 + message.readUInt8(at)
  const extensions: Buffer[] = []
  for (let next = at + 2; next < message.length;) {
    const end = next + 4 + message.readUInt16BE(next + 2)
    if (message.readUInt16BE(next) !== 0) extensions.push(message.subarray(next, end))
    next = end
  }
  const own = Buffer.concat([Buffer.alloc(2), vector(2, extension)])
  const body = Buffer.concat([message.subarray(0, at), vector(2, own, ...extensions)])
  const whole = Buffer.concat([Buffer.of(1), vector(3, body)])
  return Buffer.concat([Buffer.of(HANDSHAKE, 3, 1), vector(2, whole)])
}

function hostName(name: Buffer): Buffer {
  return vector(2, Buffer.concat([Buffer.of(0), vector(2, name)]))
}

const names: [what: string, extension: Buffer][] = [
  ['an empty one', hostName(Buffer.alloc(0))],
  ['one of 255 characters', hostName(Buffer.alloc(255, 'a'))],
  ['one of 256 characters', hostName(Buffer.alloc(256, 'a'))],
  ['one of 15,000 characters', hostName(Buffer.alloc(15_000, 'a'))],
  ['one with a dot at its end', hostName(Buffer.from('localhost.'))],
  ['dots alone', hostName(Buffer.from('...'))],
  ['one with a NUL', hostName(Buffer.from('localhost\0.evil.test'))],
  ['a NUL alone', hostName(Buffer.of(0))],
  ['one with a line break', hostName(Buffer.from('localhost\r\nX: y'))],
  ['an IPv4 address', hostName(Buffer.from('127.0.0.1'))],
  ['an IPv6 address', hostName(Buffer.from('[::1]'))],
  ['a wildcard', hostName(Buffer.from('*.example.com'))],
  ['bytes above 0x7F', hostName(Buffer.from('löcalhost', 'latin1'))],
  ['UTF-8', hostName(Buffer.from('löcalhost'))],
  ['bytes that are no UTF-8', hostName(Buffer.alloc(20, 0xff))],
  ['__proto__', hostName(Buffer.from('__proto__'))],
  ['constructor', hostName(Buffer.from('constructor'))],
  [
    'two names',
    vector(2, ...['localhost', 'a'].map((name) => hostName(Buffer.from(name)).subarray(2))),
  ],
  ['a name of another kind', vector(2, Buffer.concat([Buffer.of(7), vector(2, Buffer.from('a'))]))],
  ['an empty list', vector(2)],
  ['no list at all', Buffer.alloc(0)],
  ['a list that is longer than it is', Buffer.from([0xff, 0xff, 0, 0, 1, 0x61])],
  ['a name that is longer than it is', Buffer.from([0, 4, 0, 0xff, 0xff, 0x61])],
]

async function certificateOf(gateway: TestGateway, servername: string): Promise<string> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: gateway.port,
    servername,
    rejectUnauthorized: false,
  })
  await using client = new RawClient(socket)
  await once(socket, 'secureConnect')
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.equal((await client.answer()).status, 200)
  return String(socket.getPeerX509Certificate()?.subjectAltName)
}

for (const unknownNames of ['default', 'refuse'] as const) {
  describe(`with unknownNames: ${unknownNames}, a client that asks for`, () => {
    it('odd names leaves others alone, and is answered by TLS or let go', async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        while (await connection.more()) {
          await connection.head()
          connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        }
      })
      await using gateway = await startTestGateway(
        `listeners:
  - address: "127.0.0.1:0"
    tls: { unknownNames: ${unknownNames}, certificates: [{ cert: a.pem, key: a-key.pem }, { cert: b.pem, key: b-key.pem }] }
routes: [{ upstream: "${upstream.url}" }]`,
        files,
      )
      const hello = await clientHello({ servername: 'localhost' })
      {
        await using client = await rawClient(gateway.port)
        client.write(withServerName(hello, hostName(Buffer.from('localhost'))))
        assert.equal((await client.bytes(1)).charCodeAt(0), HANDSHAKE)
      }
      for (const [what, extension] of names) {
        await using client = await rawClient(gateway.port)
        client.write(withServerName(hello, extension))
        if (await client.more()) {
          const type = (await client.bytes(1)).charCodeAt(0)
          const isAlert = type === ALERT
          assert.ok(isAlert || type === HANDSHAKE, what)
          if (isAlert) await client.gone()
        }
        assert.match(await certificateOf(gateway, 'localhost'), /DNS:localhost/, what)
      }
      for (const name of ['LOCALHOST', 'LocalHost']) {
        assert.match(await certificateOf(gateway, name), /DNS:localhost/)
      }
      if (unknownNames === 'default') {
        for (const name of ['localhost.', 'nowhere.test']) {
          assert.match(await certificateOf(gateway, name), /DNS:chat\.example\.com/)
        }
      } else await assert.rejects(certificateOf(gateway, 'nowhere.test'))
    })
  })
}
