import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { readPreface } from '../../src/listen/http2-preface.ts'
import { PREFACE } from '../support/http2-frames.ts'
import { readBytes, socketPair } from '../support/socket-pair.ts'

/** What comes behind the first bytes. */
const REST = 'and the rest'

describe('the first bytes of a client', () => {
  for (const { name, bytes, isHttp2 } of [
    { name: 'the preface of HTTP/2', bytes: PREFACE.toString(), isHttp2: true },
    { name: 'a request of HTTP/1.1', bytes: 'GET / HTTP/1.1\r\n\r\n', isHttp2: false },
    { name: 'a method that begins like it', bytes: 'PRINT / HTTP/1.1\r\n', isHttp2: false },
    {
      name: 'a preface with one wrong byte at its end',
      bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\rX',
      isHttp2: false,
    },
  ]) {
    it(`are ${name}, at once and byte by byte, and stay unread`, async () => {
      await using whole = await socketPair()
      const { promise, resolve } = Promise.withResolvers<boolean>()
      readPreface(whole.socket, 60_000, resolve)
      whole.peer.write(bytes + REST)
      assert.equal(await promise, isHttp2)
      assert.equal(whole.socket.isPaused(), true)
      assert.equal(String(await readBytes(whole.socket, bytes.length)), bytes)

      await using split = await socketPair()
      const answers: boolean[] = []
      const known = new Promise<void>((done) => {
        readPreface(split.socket, 60_000, (answer) => {
          answers.push(answer)
          done()
        })
      })
      split.peer.setNoDelay()
      for (const byte of bytes + REST) {
        split.peer.write(byte)
        if (answers.length === 0) await Promise.race([once(split.socket, 'data'), known])
      }
      await known
      assert.deepEqual(answers, [isHttp2])
      assert.equal(String(await readBytes(split.socket, bytes.length + 1)), bytes + REST[0])
    })
  }

  it('close the connection when they are too few for too long', async () => {
    await using pair = await socketPair()
    readPreface(pair.socket, 20, () => assert.fail('nothing is known'))
    pair.peer.write('PRI * HT')
    await once(pair.peer.resume(), 'end')
    assert.equal(pair.socket.destroyed, true)
  })

  it('close the connection when they are too few and its client leaves', async () => {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      await using pair = await socketPair()
      readPreface(pair.socket, 60_000, () => assert.fail('nothing is known'))
      const closed = new Promise((resolve) => pair.socket.on('close', resolve))
      pair.peer.write('PRI * HT')
      pair.peer[leave]()
      await closed
    }
  })

  it('may come as late as a timer can tell', async () => {
    await using pair = await socketPair()
    const { promise, resolve } = Promise.withResolvers<boolean>()
    readPreface(pair.socket, 2 ** 40, resolve)
    // A timer that is too long for node is over before this one.
    await setTimeout(2)
    pair.peer.write(PREFACE)
    assert.equal(await promise, true)
  })
})
