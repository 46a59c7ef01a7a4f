import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import type { Refusal } from '../../src/errors.ts'
import { toldOf } from '../../src/listen/proxy-protocol-ends.ts'
import { ProxySide, type HeaderRules } from '../../src/listen/proxy-protocol-side.ts'
import { binaryHeader, typeLengthValue } from '../support/proxy-header.ts'
import { randomNumbers } from '../support/random-numbers.ts'
import { socketPair } from '../support/socket-pair.ts'

const RULES: HeaderRules = { proxyProtocol: 'optional', headTimeoutMs: 60_000 }

interface Pair extends AsyncDisposable {
  readonly client: Socket
  readonly socket: Socket
}

async function connected(): Promise<Pair> {
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.setNoDelay(true)
  const [socket] = (await once(server, 'connection')) as [Socket]
  server.close()
  return {
    client,
    socket,
    async [Symbol.asyncDispose]() {
      client.destroy()
      if (!socket.closed) await once(socket.destroy(), 'close')
    },
  }
}

/** Takes the header off `socket`, and reads all that is behind it. */
async function takenFrom(socket: Socket): Promise<string> {
  const side = new ProxySide({
    isTrusted: () => true,
    onRefused: ({ code }) => assert.fail(code),
  })
  await new Promise<void>((resolve) => side.accept(socket, RULES, resolve))
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

describe('ProxySide', () => {
  const headers = [
    Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.9 4660 443\r\n'),
    binaryHeader({ values: [typeLengthValue(4, Buffer.alloc(300))] }),
    Buffer.alloc(0),
  ]

  it('takes off the header and no byte more, however it is cut', async () => {
    const random = randomNumbers(7)
    for (let run = 0; run < 60; run += 1) {
      await using pair = await connected()
      const header = headers[run % headers.length] as Buffer
      const body = Buffer.from(Array.from({ length: 1 + random(400) }, () => 65 + random(26)))
      const taken = takenFrom(pair.socket)
      const bytes = Buffer.concat([header, body])
      for (let at = 0; at < bytes.length;) {
        const end = at + 1 + random(80)
        pair.client.write(bytes.subarray(at, end))
        await new Promise(setImmediate)
        at = end
      }
      pair.client.end()
      assert.equal(await taken, body.toString('latin1'), `run ${run}`)
      assert.equal(toldOf(pair.socket)?.bytes, header.length === 0 ? undefined : header.length)
    }
  })

  it('has the socket tell the addresses of the client', async () => {
    await using pair = await connected()
    pair.client.end(binaryHeader())
    assert.equal(await takenFrom(pair.socket), '')
    const { remoteAddress, remotePort, localAddress, localPort } = pair.socket
    assert.deepEqual(
      [remoteAddress, remotePort, localAddress, localPort],
      ['192.0.2.7', 4660, '198.51.100.9', 443],
    )
  })

  it('refuses a header by the address of who sends it', async () => {
    await using pair = await connected()
    const refused = new Promise<[Refusal, string]>((resolve) => {
      const onRefused = (...refusal: [Refusal, string]): void => resolve(refusal)
      const side = new ProxySide({ isTrusted: () => false, onRefused })
      side.accept(pair.socket, RULES, () => assert.fail('it was taken'))
    })
    pair.client.write(headers[0] as Buffer)
    const [{ code }, peerAddress] = await refused
    assert.deepEqual([code, peerAddress], ['E_PROXY_HEADER', '127.0.0.1'])
    assert.equal(pair.socket.destroyed, true)
  })

  it('says nothing of whoever was gone before he could be asked for his address', async () => {
    await using pair = await socketPair()
    pair.peer.write(headers[0] as Buffer)
    pair.peer.resetAndDestroy()
    await once(pair.peer, 'close')
    const side = new ProxySide({
      isTrusted: ({ remoteAddress }) => remoteAddress !== undefined,
      onRefused: () => assert.fail('there is nobody to tell of'),
    })
    side.accept(pair.socket, RULES, () => assert.fail('it was taken'))
    assert.equal(pair.socket.destroyed, true)
  })

  it('takes the header of a peer on a unix socket, who never has an address', async () => {
    await using pair = await socketPair('unix')
    pair.peer.end(headers[0] as Buffer)
    assert.equal(await takenFrom(pair.socket), '')
    assert.equal(pair.socket.remoteAddress, '192.0.2.7')
  })

  it('forgets whoever leaves before he has said anything, and cuts the others at its end', async () => {
    await using left = await connected()
    await using stays = await connected()
    const side = new ProxySide({
      isTrusted: () => true,
      onRefused: () => assert.fail('there is nothing to tell'),
    })
    for (const { socket } of [left, stays]) {
      side.accept(socket, RULES, () => assert.fail('it has not begun'))
    }
    left.client.end()
    await once(left.socket, 'close')
    const closed = once(stays.socket, 'close')
    side.destroy()
    await closed
  })
})
