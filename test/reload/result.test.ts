import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ConfigDiff } from '../../src/config/diff.ts'
import { reloadFailed, reloadTaken } from '../../src/reload/result.ts'

const NOTHING = { added: [], removed: [], changed: [] }

const DIFF: ConfigDiff = {
  routes: { ...NOTHING, moved: [] },
  upstreams: NOTHING,
  auth: NOTHING,
  listeners: { ...NOTHING, added: ['127.0.0.1:81'] },
  settings: [],
  needsRestart: ['relay.threads'],
}

describe('reloadTaken', () => {
  it('says what has changed, and what becomes of tunnels', () => {
    const tunnels = {
      closing: new Map([
        ['chat', 3],
        ['push', 4],
      ]),
      kept: 5,
    }
    const certificates = ['https://localhost:443/']
    assert.deepEqual(reloadTaken(true, { diff: DIFF, certificates, tunnels }), {
      ok: true,
      dryRun: true,
      changes: ['listener 127.0.0.1:81: added', 'another certificate at https://localhost:443/'],
      needsRestart: ['relay.threads'],
      problems: [],
      closing: 7,
      closingByRoute: { chat: 3, push: 4 },
      kept: 5,
    })
  })
})

describe('reloadFailed', () => {
  it('says why, and that nothing else has happened', () => {
    assert.deepEqual(reloadFailed(false, ['why']), {
      ok: false,
      dryRun: false,
      changes: [],
      needsRestart: [],
      problems: ['why'],
      closing: 0,
      closingByRoute: {},
      kept: 0,
    })
  })
})
