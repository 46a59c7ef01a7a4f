import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { belowSpared, descriptorLimit, descriptorsNeeded, readLimit } from '../src/descriptors.ts'
import { loadText } from './config/load-text.ts'

const UPSTREAM = 'upstream: "http://127.0.0.1:1"'

describe('descriptorsNeeded', () => {
  for (const [what, listeners, tunnels, needed] of [
    ['two for each connection of all listeners', '100 200', 'off', 856],
    ['those of connections, whatever routes allow', '100', '5000 5000', 456],
    ['two for each tunnel where connections have no limit', 'off', '300 100', 1056],
    ['the larger of both where one listener has no limit', 'off 1000', '300 100', 2256],
    ['those of connections where tunnels have no limit', 'off 1000', '300 off', 2256],
    ['nothing that is known without limits', 'off', 'off', undefined],
  ] as const) {
    it(`are ${what}`, () => {
      const listening = listeners
        .split(' ')
        .map((max, index) => `{ address: "127.0.0.1:${8000 + index}", connections: ${max} }`)
      const served = tunnels
        .split(' ')
        .map(
          (max, index) =>
            `{ match: { path: /${index} }, limits: { tunnels: ${max} }, ${UPSTREAM} }`,
        )
      const config = loadText(`
listeners: [${listening.join(', ')}]
routes: [${served.join(', ')}]
`)
      assert.equal(descriptorsNeeded(config), needed)
    })
  }
})

describe('readLimit', () => {
  const text = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             7                    8                    processes \nMax open files            ${soft.padEnd(20)} 524288               files     \n`

  it('is the soft limit of open files', () => {
    assert.equal(readLimit(text('1024')), 1024)
    assert.equal(readLimit(text('unlimited')), Infinity)
  })

  it('is unknown in another text', () => {
    assert.equal(readLimit('Max open files 12'), undefined)
  })

  it('can be read of this process', { skip: process.platform !== 'linux' }, () => {
    assert.ok((descriptorLimit() ?? 0) > 20)
  })
})

describe('belowSpared', () => {
  it('leaves 32 to others, and an eighth where there are few', () => {
    assert.deepEqual([1024, 256, 160, 16].map(belowSpared), [992, 224, 140, 14])
  })

  it('is no number where there is no end', () => {
    assert.equal(belowSpared(Infinity), undefined)
  })
})
