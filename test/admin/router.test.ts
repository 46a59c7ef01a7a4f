import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { operations } from '../../src/admin/operations.ts'
import { Router } from '../../src/admin/router.ts'

const router = new Router(operations)

function matched(method: string, path: string) {
  const match = router.match(method, path)
  return 'operation' in match
    ? { operation: match.operation.id, id: match.id }
    : { status: match.status, allow: match.headers?.['Allow'] }
}

const cases: [method: string, path: string, operation: string, id: string][] = [
  ['GET', '/api', 'index', ''],
  ['HEAD', '/api/tunnels', 'listTunnels', ''],
  ['DELETE', '/api/tunnels', 'closeTunnels', ''],
  ['GET', '/api/tunnels/a-b', 'readTunnel', 'a-b'],
  ['DELETE', '/api/tunnels/a%2Fb', 'closeTunnel', 'a/b'],
  ['POST', '/api/endpoints/0a/drain', 'drainEndpoint', '0a'],
  ['POST', '/api/upstreams/chat/rebalance', 'startRebalance', 'chat'],
  ['POST', '/reload', 'reloadShort', ''],
]

describe('Router', () => {
  for (const [method, path, operation, id] of cases) {
    it(`finds ${operation} at ${method} ${path}`, () => {
      assert.deepEqual(matched(method, path), { operation, id })
    })
  }

  for (const path of [
    '/api/',
    '/api/tunnels/',
    '/api/tunnels/a/b',
    '/api/tunnels/%',
    '/API/tunnels',
    '/api/openapiXjson',
    '/api//tunnels',
  ]) {
    it(`finds nothing at ${path}`, () => {
      assert.deepEqual(matched('GET', path), { status: 404, allow: undefined })
    })
  }

  it('tells the methods that there are', () => {
    assert.deepEqual(matched('PUT', '/api/tunnels'), { status: 405, allow: 'GET, HEAD, DELETE' })
    assert.deepEqual(matched('GET', '/reload'), { status: 405, allow: 'POST' })
    assert.deepEqual(matched('HEAD', '/reload'), { status: 405, allow: 'POST' })
  })

  it('owns every path below /api, and no other but /reload', () => {
    for (const path of ['/api', '/api/', '/api/nothing', '/reload'])
      assert.ok(router.owns(path), path)
    for (const path of ['/', '/apis', '/metrics', '/reload/', '/healthz']) {
      assert.ok(!router.owns(path), path)
    }
  })
})
