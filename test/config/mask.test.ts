import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { maskConfig } from '../../src/config/mask.ts'
import { fixtures, loadText } from './load-text.ts'

const config = loadText(
  `
listeners: [{ tls: { cert: "\${FIXTURES}/tls/cert.pem", key: "\${FIXTURES}/tls/key.pem" } }]
admin: { token: "\${SECRET}" }
upstreams: { chat: { endpoints: ["http://chat:1"], balance: { hash: cookie:session } } }
auth:
  people: { type: jwt, secret: "\${SECRET}", from: [cookie:session], claims: { role: [admin, 1] } }
  devices: { type: jwt, jwks: "https://idp/keys?api=\${SECRET}" }
  portal: { type: forward, url: "https://auth/verify?k=\${SECRET}" }
routes:
  - name: chat
    upstream: chat
    auth: [people, { any: [devices, portal] }]
    match:
      headers: { X-Api-Key: "\${SECRET}", X-Token: { regex: "\${SECRET}" }, X-Auth: true, X-Env: prod }
      query: { token: "\${SECRET}", session: false, room: lobby }
    headers:
      request: { set: { Authorization: "Basic \${SECRET}", X-Env: prod } }
      response: { set: { Set-Cookie: "\${SECRET}" }, remove: [Server] }
`,
  { SECRET: 'hunter2-hunter2-hunter2-hunter2-hunter2' },
)

const masked = maskConfig(config)

function at(...path: (string | number)[]): unknown {
  let value: unknown = masked
  for (const step of path) value = (value as Record<string | number, unknown>)[step]
  return value
}

describe('the masked configuration', () => {
  it('is plain JSON without a secret', () => {
    const text = JSON.stringify(masked)
    assert.deepEqual(JSON.parse(text), masked)
    assert.doesNotMatch(text, /hunter2/)
  })

  it('shows that there is a secret', () => {
    assert.equal(at('admin', 'token'), '***')
    assert.equal(at('auth', 'people', 'secret'), '***')
    assert.equal(at('auth', 'devices', 'jwks'), 'https://idp/keys?***')
    assert.equal(at('auth', 'portal', 'url'), 'https://auth/verify?***')
    const headers = at('routes', 0, 'headers')
    assert.deepEqual(headers, {
      request: {
        set: [
          ['Authorization', '***'],
          ['X-Env', 'prod'],
        ],
        remove: [],
      },
      response: { set: [['Set-Cookie', '***']], remove: ['server'] },
    })
    assert.deepEqual(at('routes', 0, 'match', 'headers'), {
      'x-api-key': { kind: 'equals', value: '***' },
      'x-token': { kind: 'regex', regex: '***' },
      'x-auth': { kind: 'present' },
      'x-env': { kind: 'equals', value: 'prod' },
    })
    assert.deepEqual(at('routes', 0, 'match', 'query'), {
      token: { kind: 'equals', value: '***' },
      session: { kind: 'absent' },
      room: { kind: 'equals', value: 'lobby' },
    })
  })

  it('shows files, numbers, and what is off or not set', () => {
    assert.equal(at('listeners', 0, 'tls', 'key'), join(fixtures, 'tls/key.pem'))
    assert.equal(at('listeners', 0, 'connectionsMax'), 'off')
    assert.equal(at('listeners', 0, 'headTimeoutMs'), 10_000)
    assert.equal(at('routes', 0, 'timeouts', 'lifetimeMs'), 'off')
    assert.equal(at('routes', 0, 'keepalive'), null)
    assert.equal(at('relay', 'frames'), true)
    assert.equal(at('auth', 'people', 'jwks'), null)
    assert.deepEqual(at('auth', 'people', 'claims'), { role: ['admin', 1] })
    assert.deepEqual(at('auth', 'people', 'from'), [{ in: 'cookie', name: 'session' }])
    assert.deepEqual(at('upstreams', 'chat', 'balance'), {
      policy: 'hash',
      key: { by: 'cookie', name: 'session' },
    })
    assert.deepEqual(at('routes', 0, 'auth'), [['people'], ['devices', 'portal']])
  })

  it('has a value for every key of the configuration', () => {
    assert.deepEqual(Object.keys(masked), Object.keys(config))
    assert.deepEqual(Object.keys(at('routes', 0) as object), Object.keys(config.routes[0] ?? {}))
  })
})
