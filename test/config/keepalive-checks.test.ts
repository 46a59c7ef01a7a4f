import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { loadText } from './load-text.ts'

/** `line: path: text` of each warning. */
function warningsOf(yaml: string): string[] {
  return loadText(yaml).warnings.map((warning) => {
    const [, line = '', rest = ''] = /:(\d+):\d+: (.*)\n/.exec(warning) ?? []
    return `${line}: ${rest}`
  })
}

const late = 'is not shorter than timeouts.idle: a silent tunnel ends before it is pinged'
const early = 'is not longer than keepalive.ping: a silent tunnel ends before it is pinged'

describe('pings', () => {
  it('that come with the idle timeout or after it are warned of', () => {
    const yaml = `routes:
  - { match: { path: /a }, upstream: "http://a", keepalive: { ping: 1m }, timeouts: { idle: 1m } }
  - { match: { path: /b }, upstream: "http://a", keepalive: { ping: 10m } }
  - { match: { path: /c }, upstream: "http://a", keepalive: {}, timeouts: { idle: 20s } }`
    assert.deepEqual(warningsOf(yaml), [
      `2: routes[0].keepalive.ping: ${late}`,
      `3: routes[1].keepalive.ping: ${late}`,
      `4: routes[2].keepalive.ping: ${late}`,
    ])
  })

  it('that come in time, or not at all, are not warned of', () => {
    const yaml = `routes:
  - { match: { path: /a }, upstream: "http://a", keepalive: { ping: 59s }, timeouts: { idle: 1m } }
  - { match: { path: /b }, upstream: "http://a", keepalive: { ping: 24d }, timeouts: { idle: off } }
  - { match: { path: /c }, upstream: "http://a", keepalive: off, timeouts: { idle: 1s } }`
    assert.deepEqual(warningsOf(yaml), [])
  })

  it('are compared with what the route has from the defaults, and told at its own key', () => {
    const yaml = `defaults: { keepalive: { ping: 30s } }
routes:
  - { match: { path: /a }, upstream: "http://a", timeouts: { idle: 20s } }
  - { match: { path: /b }, upstream: "http://a", keepalive: off, timeouts: { idle: 20s } }
  - { match: { path: /c }, upstream: "http://a" }`
    assert.deepEqual(warningsOf(yaml), [`3: routes[0].timeouts.idle: ${early}`])
  })

  it('of the defaults are told once, however many routes have them', () => {
    const yaml = `defaults:
  keepalive: { ping: 20m }
routes:
  - { match: { path: /a }, upstream: "http://a" }
  - { match: { path: /b }, upstream: "http://a" }`
    assert.deepEqual(warningsOf(yaml), [`2: defaults.keepalive.ping: ${late}`])
  })
})
