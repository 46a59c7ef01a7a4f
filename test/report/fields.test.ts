import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TunnelEnd } from '../../src/relay/tunnel-end.ts'
import {
  askedProtocol,
  closeFields,
  httpVersionOf,
  microseconds,
  requestFields,
} from '../../src/report/fields.ts'
import { kOpen, type ReportedTunnel } from '../../src/report/reported.ts'
import { frameCounts, tunnelEnd } from '../support/readings.ts'

const UNKNOWN = {
  facts: undefined,
  route: undefined,
  endpoint: undefined,
  user: undefined,
  durationMs: 1.23456,
}

const tunnel: ReportedTunnel = {
  [kOpen]: { value: 1 },
  requestId: 'request-1',
  tunnelId: 'tunnel-1',
  route: 'chat',
  upstream: 'chat-pool',
  endpoint: 'http://chat-1:3000',
  clientIp: '203.0.113.7',
  host: 'chat.example.com',
  path: '/ws',
  method: 'GET',
  protocol: 'websocket',
  httpVersion: '2.0',
  endpointHttpVersion: undefined,
  user: 'alice',
  status: 101,
  handshakeMs: 3.215,
}

function closed(end: Partial<TunnelEnd>): Record<string, unknown> {
  return { ...closeFields(tunnel, tunnelEnd(end)) }
}

describe('requestFields', () => {
  it('says of a request whose head could not be understood who it was', () => {
    const report = { ...UNKNOWN, requestId: 'r', clientIp: '192.0.2.1', method: 'GET', status: 400 }
    const outcome = { protocol: undefined, status: 400, code: undefined, cause: 'why' } as const
    assert.deepEqual(JSON.parse(JSON.stringify(requestFields(report, outcome))), {
      requestId: 'r',
      clientIp: '192.0.2.1',
      method: 'GET',
      status: 400,
      durationMs: 1.235,
      cause: 'why',
    })
  })
})

describe('httpVersionOf', () => {
  it('tells HTTP/2 alone', () => {
    assert.deepEqual([true, false, undefined].map(httpVersionOf), ['2.0', undefined, undefined])
  })
})

describe('closeFields', () => {
  it('says again what the first line of the tunnel has said', () => {
    const fields = closed({})
    for (const [name, value] of Object.entries(tunnel)) assert.equal(fields[name], value, name)
    assert.equal(kOpen in fields, false)
  })

  it('tells of a WebSocket tunnel how much was said and how it was closed', () => {
    const up = frameCounts({ text: 2, binary: 3, ping: 4, close: 1 })
    const down = frameCounts({ pong: 4 })
    const close = { by: 'client', code: 4123 } as const
    const end = closed({ by: 'upstream', webSocket: { up, down, close } })
    assert.deepEqual([end['messagesUp'], end['messagesDown']], [5, 0])
    assert.deepEqual([end['wsCloseBy'], end['wsCloseCode']], ['client', 4123])
  })

  it('says 1006 of a WebSocket tunnel without a Close frame, and who ended it', () => {
    const webSocket = { up: frameCounts(), down: frameCounts(), close: undefined }
    const end = closed({ by: 'upstream', reason: 'reset', webSocket })
    assert.deepEqual([end['wsCloseBy'], end['wsCloseCode']], ['upstream', 1006])
  })

  for (const [up, down, peers] of [
    [true, false, 'client'],
    [false, true, 'upstream'],
    [true, true, 'both'],
    [false, false, undefined],
  ] as const) {
    it(`names ${peers ?? 'nobody'} as who broke the protocol`, () => {
      const [fromClient, fromUpstream] = [frameCounts({ blind: up }), frameCounts({ blind: down })]
      const webSocket = { up: fromClient, down: fromUpstream, close: undefined }
      assert.equal(closed({ webSocket })['blind'], peers)
    })
  }
})

describe('values in fields', () => {
  it('are the protocol that stands first, where one was asked for', () => {
    assert.equal(askedProtocol(UNKNOWN), undefined)
  })

  it('are milliseconds with three decimals, and a version that is not the usual one', () => {
    assert.equal(microseconds(0.0004999), 0)
    assert.equal(microseconds(1234.5678), 1234.568)
    assert.deepEqual([httpVersionOf(true), httpVersionOf(false)], ['2.0', undefined])
  })
})
