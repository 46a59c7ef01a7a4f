import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { answerReader, judge } from '../../src/handshake/answer-reader.ts'
import type { Side } from '../../src/relay/relay.ts'
import { SWITCHING, WEBSOCKET_KEY } from '../support/raw-client.ts'
import { readBytes } from '../support/socket-pair.ts'
import { FakeConnection, heldClient } from './fakes.ts'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

describe('the reader of an answer to a handshake', () => {
  it('writes informational answers to the client, one as the other', async () => {
    await using connection = await FakeConnection.create()
    const reader = answerReader(heldClient(connection))
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    assert.equal(reader.read(CONTINUE + hints), undefined)
    assert.equal(String(await readBytes(connection.peer, hints.length)), hints)
    assert.equal(reader.informational, 2)
  })
})

describe('judge', () => {
  const upstream = { unread: [], ended: false } as unknown as Side<Socket>
  const offered = { tokens: ['websocket'], websocketKey: WEBSOCKET_KEY }
  const headOf = async (text: string) => {
    await using connection = await FakeConnection.create()
    const read = answerReader(heldClient(connection)).read(text)
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
