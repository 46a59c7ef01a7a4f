import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { AnswerReader, judge } from '../../src/handshake/answer-reader.ts'
import type { Side } from '../../src/relay/relay.ts'
import { SWITCHING, WEBSOCKET_KEY } from '../support/raw-client.ts'
import { readBytes } from '../support/socket-pair.ts'
import { FakeConnection, heldClient } from './fakes.ts'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

describe('an answer reader', () => {
  it('finds the final head in whatever parts it comes, and what is behind it', async () => {
    await using connection = await FakeConnection.create()
    const text = `${CONTINUE}HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest`
    for (let length = 1; length <= text.length; length += 1) {
      const reader = new AnswerReader(heldClient(connection, { httpVersion: '1.0' }))
      let read: ReturnType<AnswerReader['read']>
      let at = 0
      while (read === undefined) {
        read = reader.read(text.slice(at, at + length))
        at += length
      }
      assert.ok(!(read instanceof Refusal))
      assert.deepEqual([read.head.status, read.head.fields], [200, ['A', 'b']])
      assert.equal(read.rest + text.slice(at), 'rest')
      assert.equal(reader.informational, 1)
    }
  })

  it('writes informational answers to the client, one as the other', async () => {
    await using connection = await FakeConnection.create()
    const reader = new AnswerReader(heldClient(connection))
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    assert.equal(reader.read(CONTINUE + hints), undefined)
    const expected = CONTINUE + hints
    assert.equal(String(await readBytes(connection.peer, expected.length)), expected)
    assert.equal(reader.informational, 2)
  })

  it('takes 32 informational answers, and no more', async () => {
    await using connection = await FakeConnection.create()
    const reader = new AnswerReader(heldClient(connection, { httpVersion: '1.0' }))
    assert.equal(reader.read(CONTINUE.repeat(32)), undefined)
    const refusal = reader.read(CONTINUE)
    assert.ok(refusal instanceof Refusal)
    assert.equal(refusal.code, 'E_UPSTREAM_PROTOCOL')
  })

  it('refuses a head that has no end', async () => {
    await using connection = await FakeConnection.create()
    const reader = new AnswerReader(heldClient(connection))
    assert.equal(reader.read(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(60_000)}`), undefined)
    const refusal = reader.read('a'.repeat(10_000))
    assert.ok(refusal instanceof Refusal)
    assert.match(refusal.details.cause ?? '', /more than 65536 bytes/)
  })

  it('tells a FIN in place of an answer from one in the middle of it', async () => {
    await using connection = await FakeConnection.create()
    const reader = new AnswerReader(heldClient(connection))
    assert.equal(reader.cutOff().code, 'E_UPSTREAM_RESET')
    reader.read('HTTP')
    assert.equal(reader.cutOff().code, 'E_UPSTREAM_PROTOCOL')
  })
})

describe('judge', () => {
  const upstream = { unread: [], ended: false } as unknown as Side<Socket>
  const offered = { tokens: ['websocket'], websocketKey: WEBSOCKET_KEY }
  const headOf = async (text: string) => {
    await using connection = await FakeConnection.create()
    const read = new AnswerReader(heldClient(connection)).read(text)
    assert.ok(read !== undefined && !(read instanceof Refusal))
    return read.head
  }

  it('grants what was asked for', async () => {
    const head = await headOf(SWITCHING)
    const granted = judge(head, upstream, offered)
    assert.deepEqual(granted, { kind: 'granted', head, protocol: 'websocket', upstream })
  })

  it('passes every other answer on', async () => {
    const head = await headOf('HTTP/1.1 426 No\r\n\r\n')
    assert.deepEqual(judge(head, upstream, offered), { kind: 'answered', head, upstream })
  })

  it('refuses a switch to something else', async () => {
    const head = await headOf(SWITCHING.replace('websocket', 'tcp'))
    const refusal = judge(head, upstream, offered)
    assert.ok(refusal instanceof Refusal)
    assert.equal(refusal.code, 'E_UPSTREAM_SWITCH')
  })
})
