import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { sendAnswer } from '../../src/handshake/answer.ts'
import type { Refusal } from '../../src/errors.ts'
import type { RelaySocket } from '../../src/relay/relay.ts'
import type { RequestHead } from '../../src/request/facts.ts'
import { readBytes, readToEnd } from '../support/socket-pair.ts'
import { settled } from '../support/settled.ts'
import { FakeConnection, heldClient, OWNER } from '../handshake/fakes.ts'

const ANSWER = {
  status: 503,
  reason: 'No',
  fields: ['Content-Length', '2'],
  body: Buffer.from('no'),
}

/** Counts how often the client left. */
function watch(client: ReturnType<typeof heldClient>): { readonly times: number } {
  const left = { times: 0 }
  client.onGone = () => {
    left.times += 1
  }
  return left
}

describe('a held client', () => {
  it('has no body, and needs no socket to say so', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    client.readBody(assert.fail as never)
    client.pauseBody()
    client.resumeBody()
    client.dropBody()
    assert.deepEqual(
      [client.method, client.httpVersion, client.bodyDone, client.bodyBegun, client.awaitsContinue],
      ['GET', '1.1', true, false, false],
    )
    assert.equal(client.held, connection)
    assert.equal(client.gone, false)
    assert.deepEqual(connection.calls, [])
  })

  it('goes to a relay as it is, with what came behind its request', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection, { rest: 'early' })
    const left = watch(client)
    const { unread, ended } = client.release()
    assert.deepEqual([Buffer.concat(unread).toString(), ended], ['early', false])
    assert.deepEqual(connection.calls, ['side'])
    assert.equal(connection.listener, undefined)
    // From then on it is the relay's to notice.
    client.onReset()
    assert.equal(left.times, 0)
  })

  it('tells a relay of a FIN that has come meanwhile', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection, { endMeansGone: false })
    const left = watch(client)
    connection.listener?.onFin()
    assert.deepEqual([left.times, client.gone], [0, false])
    assert.equal(client.release().ended, true)
  })

  for (const how of ['onFin', 'onReset'] as const) {
    it(`is gone with its ${how === 'onFin' ? 'FIN' : 'reset'}, and says so once`, async () => {
      await using connection = await FakeConnection.create()
      const client = heldClient(connection)
      const left = watch(client)
      connection.listener?.[how]()
      connection.listener?.onReset()
      assert.deepEqual([left.times, client.gone], [1, true])
      // Who asks later is told at once.
      assert.equal(watch(client).times, 1)
    })
  }

  it('is gone from the start when the FIN of a WebSocket client came with its handshake', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection, { ended: true })
    assert.equal(client.gone, true)
    assert.equal(watch(client).times, 1)
    await using other = await FakeConnection.create()
    assert.equal(heldClient(other, { ended: true, endMeansGone: false }).gone, false)
  })

  it('tells nobody after its listener was taken away', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const left = watch(client)
    client.onGone = undefined
    connection.listener?.onReset()
    assert.deepEqual([left.times, client.gone], [0, true])
  })

  it('is closed without becoming a socket', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const left = watch(client)
    client.destroy()
    assert.deepEqual(connection.calls, ['close'])
    assert.deepEqual([left.times, client.gone], [1, true])
  })

  it('hears nothing of a part and of a deadline that nobody has asked for', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const left = watch(client)
    connection.listener?.onText('more', false)
    connection.listener?.onLate()
    assert.deepEqual([left.times, connection.calls], [0, []])
  })
})

describe('a held client that becomes a socket', () => {
  it('takes an informational answer, and goes to a relay with all its bytes', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection, { rest: 'early, ' })
    client.inform({ status: 103, reason: 'Early Hints', fields: [] })
    assert.equal(client.held, undefined)
    assert.equal(String(await readBytes(connection.peer, 28)), 'HTTP/1.1 103 Early Hints\r\n\r\n')
    connection.peer.write('late')
    await settled(() => (client.socket as Socket).bytesRead)
    const { socket, unread } = client.release()
    assert.equal(Buffer.concat(unread).toString(), 'early, late')
    assert.equal(socket, client.socket)
    assert.deepEqual(connection.calls, ['toSocket'])
  })

  it('is told to who asked before that it is gone', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const left = watch(client)
    assert.equal(client.socket.destroyed, false)
    connection.peer.end()
    await settled(() => left.times)
    assert.deepEqual([left.times, client.gone], [1, true])
  })

  it('lets who asks later know as well', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const { socket } = client
    const left = watch(client)
    connection.peer.resetAndDestroy()
    await new Promise((resolve) => socket.once('close', resolve))
    assert.deepEqual([left.times, client.gone], [1, true])
  })

  it('gets a refusal, and serves its next request', async () => {
    await using connection = await FakeConnection.create()
    const targets: string[] = []
    const owner = { ...OWNER, onRequest: ({ target }: RequestHead) => void targets.push(target) }
    const client = heldClient(connection, { owner })
    sendAnswer(client, ANSWER)
    client.finish()
    const text = 'HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno'
    assert.equal(String(await readBytes(connection.peer, text.length)), text)
    connection.peer.write('GET /next HTTP/1.1\r\n\r\n')
    assert.equal(await settled(() => targets.length), 1)
    assert.deepEqual(targets, ['/next'])
  })

  it('gets a refusal, and then what came behind its request is read', async () => {
    await using connection = await FakeConnection.create()
    const broken: string[] = []
    const owner = { ...OWNER, onBroken: ({ code }: Refusal) => (broken.push(code), '') }
    const client = heldClient(connection, { rest: 'early\x01', owner })
    sendAnswer(client, ANSWER)
    client.finish()
    assert.match(String(await readToEnd(connection.peer)), /\r\n\r\nno$/)
    assert.deepEqual(broken, ['E_REQUEST_MALFORMED'])
    connection.peer.end()
  })

  it('is destroyed with its socket', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const { socket } = client
    client.destroy()
    assert.equal(socket.destroyed, true)
    assert.deepEqual(connection.calls, ['toSocket'])
    await once(connection.peer.resume(), 'end')
  })

  it('keeps its place with its listener', async () => {
    await using connection = await FakeConnection.create()
    const lent: unknown[] = []
    const lend = (socket: RelaySocket) => () => {
      lent.push(socket)
      return () => void lent.push('returned')
    }
    const client = heldClient(connection, { owner: { ...OWNER, lend } })
    const { socket } = client
    client.release().lend?.()()
    assert.deepEqual(lent, [socket, 'returned'])
  })
})
