import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { peers } from '../../bench/peers.ts'
import { works } from '../../bench/works.ts'

const place = {
  port: 20_001,
  sparePort: 20_002,
  http2Port: 20_003,
  upstreamPort: 20_004,
  directory: '/run/bench',
  tls: undefined,
}
const overHttp2 = works.filter(({ name }) => name.endsWith('-h2'))

describe('peers', () => {
  it('leave out works that there are', () => {
    const names = new Set(works.map(({ name }) => name))
    for (const { name, absences = {} } of peers) {
      const unknown = Object.keys(absences).filter((work) => !names.has(work))
      assert.deepEqual(unknown, [], name)
    }
  })

  it('listen for HTTP/2, or say why they leave out what goes over it', () => {
    assert.deepEqual(
      overHttp2.map(({ name }) => name),
      ['echo64-h2', 'idle-h2'],
    )
    for (const peer of peers) {
      const { args, files } = peer.plan(place)
      const listens = [...args, ...Object.values(files)].join('\n').includes('20003')
      const takesPart = overHttp2.some(({ name }) => peer.absences?.[name] === undefined)
      assert.equal(listens, takesPart, peer.name)
    }
  })
})
