import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkSwitch, websocketAccept } from '../../src/handshake/switch.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

function check(fields: string[], tokens: string[], key: string | undefined = KEY) {
  return checkSwitch({ minorVersion: 1, status: 101, reason: '', fields }, tokens, key)
}

describe('websocketAccept', () => {
  it('gives the value of the example in RFC 6455 1.3', () => {
    assert.equal(websocketAccept(KEY), ACCEPT)
  })
})

describe('checkSwitch', () => {
  const websocket = [
    'Upgrade',
    'WebSocket',
    'Connection',
    'keep-alive, UPGRADE',
    'Sec-WebSocket-Accept',
    ACCEPT,
  ]
  const good: [name: string, fields: string[], tokens: string[], protocol: string][] = [
    ['a WebSocket with the right accept value', websocket, ['websocket'], 'websocket'],
    ['a token in another case', ['connection', 'upgrade', 'upgrade', 'tcp'], ['TCP'], 'tcp'],
    ['the second of two tokens', ['Connection', 'Upgrade', 'Upgrade', 'b'], ['a', 'b'], 'b'],
    [
      'two layers that were both asked for',
      ['Connection', 'Upgrade', 'Upgrade', 'b, a'],
      ['a', 'b'],
      'b',
    ],
    [
      'a token with a version',
      ['Connection', 'Upgrade', 'Upgrade', 'SPDY/3.1'],
      ['SPDY/3.1'],
      'spdy/3.1',
    ],
    [
      'TLS and the HTTP inside, as RFC 2817 3.3 has it',
      ['Upgrade', 'TLS/1.0, HTTP/1.1', 'Connection', 'Upgrade'],
      ['TLS/1.0'],
      'tls/1.0',
    ],
    [
      'all the versions of TLS that CUPS has',
      ['Connection', 'Upgrade', 'Upgrade', 'TLS/1.3,TLS/1.2,TLS/1.1,TLS/1.0'],
      ['TLS/1.2'],
      'tls/1.2',
    ],
  ]
  for (const [name, fields, tokens, protocol] of good) {
    it(`grants ${name}`, () => assert.deepEqual(check(fields, tokens), { protocol }))
  }

  const bad: [name: string, fields: string[], tokens: string[], key?: string][] = [
    ['no Connection field', ['Upgrade', 'tcp'], ['tcp']],
    ['a Connection field without upgrade', ['Connection', 'close', 'Upgrade', 'tcp'], ['tcp']],
    ['no Upgrade field', ['Connection', 'Upgrade'], ['tcp']],
    ['a token that was not asked for', ['Connection', 'Upgrade', 'Upgrade', 'h2c'], ['tcp']],
    ['one stranger among the granted', ['Connection', 'Upgrade', 'Upgrade', 'tcp, h2c'], ['tcp']],
    ['TLS that was not asked for', ['Connection', 'Upgrade', 'Upgrade', 'TLS/1.2'], ['tcp']],
    [
      'HTTP inside of what is no TLS',
      ['Connection', 'Upgrade', 'Upgrade', 'tcp, HTTP/1.1'],
      ['tcp'],
    ],
    ['h2c beside TLS', ['Connection', 'Upgrade', 'Upgrade', 'TLS/1.2, h2c'], ['TLS/1.2']],
    [
      'HTTP/2 inside of TLS',
      ['Connection', 'Upgrade', 'Upgrade', 'TLS/1.2, HTTP/2.0'],
      ['TLS/1.2'],
    ],
    ['a wrong accept value', [...websocket.slice(0, 5), `${ACCEPT.slice(0, -2)}X=`], ['websocket']],
    ['no accept value', websocket.slice(0, 4), ['websocket']],
    ['two accept values', [...websocket, 'Sec-WebSocket-Accept', ACCEPT], ['websocket']],
  ]
  for (const [name, fields, tokens] of bad) {
    it(`refuses ${name}`, () => assert.ok('wrong' in check(fields, tokens)))
  }

  it('refuses a WebSocket when the client sent no key', () => {
    const head = { minorVersion: 1 as const, status: 101, reason: '', fields: websocket }
    assert.ok('wrong' in checkSwitch(head, ['websocket'], undefined))
  })
})
