import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { questionFields } from '../../src/auth/forward-request.ts'
import type { RequestFacts } from '../../src/request/facts.ts'
import { fakeFacts, fieldLines } from './fake-facts.ts'

/** Without what the gateway adds, and without Host. */
function fromClient(fields: readonly string[], own: readonly string[] = []): string[] {
  const all = questionFields(fakeFacts({ fields }), 'auth', new Set(own))
  return all.slice(2, all.lastIndexOf('X-Forwarded-Method'))
}

describe('questionFields', () => {
  it('tells who asks for what, in both dialects', () => {
    const facts = fakeFacts({ method: 'POST', query: 'a=1', fields: ['Host', 'chat.example.com'] })
    assert.deepEqual(fieldLines(questionFields(facts, 'auth:4181', new Set())), [
      'Host: auth:4181',
      'X-Forwarded-Method: POST',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: chat.example.com',
      'X-Forwarded-Port: 443',
      'X-Forwarded-Uri: /ws?a=1',
      'X-Forwarded-For: 192.0.2.7',
      'X-Original-Method: POST',
      'X-Original-URI: /ws?a=1',
      'X-Original-URL: https://chat.example.com/ws?a=1',
      'X-Real-IP: 192.0.2.7',
      'X-Request-Id: request-1',
      'traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01',
    ])
  })

  it('tells of the certificate that was verified, and of no other', () => {
    const asked = (certificate: RequestFacts['certificate']): string[] => {
      const fields = ['X-Forwarded-Client-Cert', 'Subject="CN=forged"']
      const lines = fieldLines(questionFields(fakeFacts({ certificate, fields }), 'a', new Set()))
      return lines.filter((line) => line.startsWith('X-Forwarded-Client-Cert'))
    }
    const verified = { subject: '', commonName: undefined, altNames: [], expiresAtMs: 0 }
    assert.deepEqual(asked({ ...verified, forwarded: 'Hash=1' }), [
      'X-Forwarded-Client-Cert: Hash=1',
    ])
    assert.deepEqual(asked({ failure: 'CERT_REVOKED' }), [])
    assert.deepEqual(asked(undefined), [])
  })

  it('says the same in Forwarded where upstreams get it', () => {
    const { forwarded } = fakeFacts()
    const field = 'for=192.0.2.7;host=chat.example.com;proto=https'
    const facts = fakeFacts({
      forwarded: { ...forwarded, field },
      fields: ['Forwarded', 'for=1'],
    })
    const lines = fieldLines(questionFields(facts, 'auth', new Set()))
    assert.deepEqual(
      lines.filter((line) => /^(?:forwarded|x-forwarded-for):/i.test(line)),
      ['X-Forwarded-For: 192.0.2.7', `Forwarded: ${field}`],
    )
  })

  it('makes a URL without a path for OPTIONS *', () => {
    const fields = questionFields(fakeFacts({ target: '*' }), 'auth', new Set())
    assert.equal(fields[fields.indexOf('X-Original-URL') + 1], 'https://chat.example.com')
  })

  it('passes the fields of the client on, with their case, order and number', () => {
    const fields = [
      'cookie',
      'a=1',
      'Authorization',
      'Basic x',
      'COOKIE',
      'b=2',
      'Origin',
      'https://o',
    ]
    assert.deepEqual(fromClient([...fields, 'Sec-WebSocket-Protocol', 'bearer, t']), [
      ...fields,
      'Sec-WebSocket-Protocol',
      'bearer, t',
    ])
  })

  const dropped: readonly (readonly [name: string, fields: readonly string[]])[] = [
    [
      'hop-by-hop fields',
      [
        'Connection',
        'Upgrade',
        'Upgrade',
        'websocket',
        'Keep-Alive',
        'x',
        'TE',
        'x',
        'Proxy-Authorization',
        'x',
      ],
    ],
    [
      'framing',
      [
        'Content-Length',
        '5',
        'Transfer-Encoding',
        'chunked',
        'Expect',
        '100-continue',
        'Trailer',
        'x',
      ],
    ],
    [
      'the WebSocket handshake',
      ['Sec-WebSocket-Key', 'x', 'Sec-WebSocket-Version', '13', 'Sec-WebSocket-Extensions', 'x'],
    ],
    [
      'conditions',
      ['If-None-Match', '*', 'If-Modified-Since', 'x', 'Range', 'bytes=0-1', 'If-Range', 'x'],
    ],
    [
      'forged facts',
      [
        'X-Forwarded-For',
        '1',
        'X-Forwarded-User',
        'root',
        'X-Original-URI',
        '/',
        'X-Real-IP',
        '1',
        'Forwarded',
        'for=1',
      ],
    ],
    [
      'forged facts with underscores',
      ['X_Forwarded_For', '1', 'X_Real_IP', '1', 'X_Original_URL', '/'],
    ],
    [
      'forged facts with other characters',
      ['X.Forwarded.Uri', '/', 'X.Real.IP', '1', 'X~Request~Id', '1', 'X!Original^URL', '/'],
    ],
    [
      'where others take a path or a proxy from',
      ['X-Rewrite-URL', '/', 'X_Rewrite_URL', '/', 'Proxy', 'x'],
    ],
    ['what looks like credentials', ['X_Auth_Token', 'x', 'Sec_WebSocket_Protocol', 'bearer, t']],
    ['a forged identity with other characters', ['X~Auth~User', 'root', 'x.auth.user', 'root']],
    ['a forged identity', ['X-Auth-User', 'root', 'x_auth_user', 'root']],
    ['a forged id', ['X-Request-Id', '1', 'traceparent', '1']],
    ['what Connection names', ['Connection', 'close, X-Hop', 'X-Hop', '1']],
    ['what Connection names in another way', ['Connection', 'X_Hop', 'X-Hop', '1', 'x.hop', '1']],
  ]
  for (const [name, fields] of dropped) {
    it(`drops ${name}`, () => assert.deepEqual(fromClient(fields), []))
  }

  it('keeps credentials and origin although Connection names them', () => {
    const fields = ['Authorization', 'x', 'Cookie', 'x', 'Origin', 'x']
    const connection = ['Connection', 'authorization, cookie, origin']
    assert.deepEqual(fromClient([...connection, ...fields]), fields)
  })

  it('drops what is taken for a field that the server makes', () => {
    const fields = ['X_User', 'root', 'x.user', 'root', 'X~User', 'root', 'X-Users', 'kept']
    assert.deepEqual(fromClient(fields, ['x-user']), ['X-Users', 'kept'])
  })

  it('keeps what is protected although Connection names it in another way', () => {
    const fields = ['X-Auth-Token', 'mine', 'Sec-WebSocket-Protocol', 'bearer, t']
    const connection = ['Connection', 'X_Auth_Token, sec_websocket_protocol']
    assert.deepEqual(fromClient([...connection, ...fields]), fields)
  })

  it('drops what the server itself makes, but not the credentials that it needs', () => {
    const fields = ['X-User', 'root', 'Authorization', 'Basic x']
    assert.deepEqual(fromClient(fields, ['x-user', 'authorization']), ['Authorization', 'Basic x'])
  })
})
