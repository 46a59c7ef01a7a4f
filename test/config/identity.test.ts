import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { loadText } from './load-text.ts'

const CHAT = 'upstreams: { chat: { endpoints: ["http://c"] }, push: { endpoints: ["http://p"] } }\n'

function identities(...routes: readonly string[]): readonly string[] {
  const yaml = `${CHAT}routes:\n${routes.map((route) => `  - { ${route} }\n`).join('')}`
  return loadText(yaml).routes.map(({ identity }) => identity)
}

function identityOf(route: string): string | undefined {
  return identities(route)[0]
}

describe('the identity of a route', () => {
  it('is its name where it has one', () => {
    assert.equal(identityOf('name: a, upstream: chat'), 'a')
  })

  it('is no name where it has none', () => {
    assert.match(String(identityOf('upstream: chat')), /^#[0-9a-f]{16}$/)
  })

  it('is the same wherever it stands, and whatever else it says', () => {
    const route = 'match: { path: /a }, upstream: chat'
    const [, moved] = identities('match: { path: /b }, upstream: chat', `${route}, http: false`)
    assert.equal(moved, identityOf(route))
  })

  it('does not depend on an order that says nothing', () => {
    assert.equal(
      identityOf(
        'match: { host: [a, b], methods: [GET, PUT], query: { x: "1", y: "2" } }, upstream: chat',
      ),
      identityOf(
        'match: { query: { y: "2", x: "1" }, methods: [PUT, GET], host: [b, a] }, upstream: chat',
      ),
    )
  })

  it('is another one with another match or upstream', () => {
    const routes = [
      'upstream: chat',
      'upstream: push',
      'upstream: "http://c"',
      'upstream: "http://p"',
      'upstream: ["http://c", "http://p"]',
      'match: { path: /a }, upstream: chat',
      'match: { path: { exact: /a } }, upstream: chat',
      'match: { headers: { X-A: "1" } }, upstream: chat',
      'match: { headers: { X-A: true } }, upstream: chat',
    ]
    assert.equal(new Set(routes.map(identityOf)).size, routes.length)
  })

  it('is that of its upstream, where that is written in place', () => {
    const { upstreams, routes } = loadText(`${CHAT}routes: [{ upstream: "http://c" }]`)
    assert.equal(upstreams.get('route-1')?.identity, routes[0]?.identity)
    assert.equal(upstreams.get('chat')?.identity, 'chat')
  })
})
