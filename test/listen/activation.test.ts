import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { takePassedSockets, withPassedSockets } from '../../src/listen/activation.ts'
import { CONFIG } from './test-listener.ts'

const SOCKETS = [
  { fd: 3, name: 'http' },
  { fd: 4, name: 'local' },
  { fd: 5, name: 'http' },
]

function systemd(name?: string) {
  return { ...CONFIG, address: { kind: 'systemd', name } as const }
}

describe('sockets that systemd passes', () => {
  it('are those from descriptor 3 on, with their names, and leave no variable behind', () => {
    const env = { LISTEN_PID: '42', LISTEN_FDS: '3', LISTEN_FDNAMES: 'http:local:http', OTHER: 'x' }
    assert.deepEqual(takePassedSockets(env, 42), SOCKETS)
    assert.deepEqual(env, { OTHER: 'x' })
  })

  it('are unknown by name where nobody named them', () => {
    assert.deepEqual(takePassedSockets({ LISTEN_PID: '42', LISTEN_FDS: '1' }, 42), [
      { fd: 3, name: 'unknown' },
    ])
  })

  for (const [what, env] of [
    ['another process', { LISTEN_PID: '41', LISTEN_FDS: '1' }],
    ['nobody', { LISTEN_FDS: '1' }],
    ['a number that is none', { LISTEN_PID: '42', LISTEN_FDS: '1x' }],
    ['far too many', { LISTEN_PID: '42', LISTEN_FDS: '9999' }],
  ] as const) {
    it(`are none when they are for ${what}`, () => {
      const left: NodeJS.ProcessEnv = { ...env }
      assert.deepEqual(takePassedSockets(left, 42), [])
      assert.deepEqual(left, {})
    })
  }

  it('become a listener each, in the place of the one that is for all of a name', () => {
    const addresses = withPassedSockets([systemd('http'), CONFIG, systemd('local')], SOCKETS).map(
      ({ address }) => address,
    )
    assert.deepEqual(addresses, [
      { kind: 'systemd', name: 'http', fd: 3 },
      { kind: 'systemd', name: 'http', fd: 5 },
      CONFIG.address,
      { kind: 'systemd', name: 'local', fd: 4 },
    ])
    assert.equal(withPassedSockets([systemd()], SOCKETS).length, 3)
  })

  it('are said to be missing', () => {
    assert.throws(() => withPassedSockets([systemd()], []), {
      message: /systemd has passed no sockets\. .* not by a shell or npm\.$/,
    })
    assert.throws(() => withPassedSockets([systemd('https')], SOCKETS), {
      message: /systemd:https: .* no socket of that name .* but http, local\./,
    })
  })

  it('are not for two listeners', () => {
    assert.throws(() => withPassedSockets([systemd('local'), systemd()], SOCKETS), {
      message: 'two listeners are for socket 4 of systemd (local)',
    })
  })
})
