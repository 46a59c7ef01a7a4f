import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Registry } from 'prom-client'
import { Series } from '../../src/report/series.ts'

const labelNames = ['route', 'status']

describe('Series', () => {
  it('gives the same cell for the same values, and another one for others', () => {
    const series = Series.counter({ name: 'a', help: 'A.', labelNames, registry: new Registry() })
    assert.equal(series.at('chat', '101'), series.at('chat', '101'))
    assert.notEqual(series.at('chat', '101'), series.at('chat', '404'))
    assert.notEqual(series.at('chat', '101'), series.at('101', 'chat'))
  })

  it('writes the values of now at each read, zeros included', async () => {
    const registry = new Registry()
    const series = Series.counter({ name: 'a', help: 'A.', labelNames, registry })
    series.at('chat', '101').value += 2
    series.at('chat', '404')
    const lines = [
      '# HELP a A.',
      '# TYPE a counter',
      'a{route="chat",status="101"} 2',
      'a{route="chat",status="404"} 0',
    ]
    assert.equal(await registry.metrics(), `${lines.join('\n')}\n`)
    assert.equal(await registry.metrics(), `${lines.join('\n')}\n`)
    series.at('chat', '101').value += 1
    assert.match(await registry.metrics(), /a\{route="chat",status="101"\} 3\n/)
  })

  it('lets a gauge go down, and brings it up to date before a read', async () => {
    const registry = new Registry()
    let now = 5
    const series = Series.gauge({
      name: 'a',
      help: 'A.',
      labelNames: ['route'],
      registry,
      refresh: () => {
        series.at('chat').value = now
      },
    })
    assert.match(await registry.metrics(), /# TYPE a gauge\na\{route="chat"\} 5\n/)
    now = 0
    assert.match(await registry.metrics(), /a\{route="chat"\} 0\n/)
  })

  it('escapes label values', async () => {
    const registry = new Registry()
    Series.counter({ name: 'a', help: 'A.', labelNames: ['route'], registry }).at('a"\\\n{}')
    assert.ok((await registry.metrics()).includes('a{route="a\\"\\\\\\n{}"} 0\n'))
  })

  it('throws when the number of values is wrong, which is a mistake of the caller', () => {
    const series = Series.counter({ name: 'a', help: 'A.', labelNames, registry: new Registry() })
    assert.throws(() => series.at('chat'), /fewer label values/)
    assert.throws(() => series.at('chat', '101', 'more'), /more label values/)
  })
})
