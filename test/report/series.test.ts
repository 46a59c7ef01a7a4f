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

  it('lets a gauge go down', async () => {
    const registry = new Registry()
    const series = Series.gauge({ name: 'a', help: 'A.', labelNames: ['route'], registry })
    series.at('chat').value = 5
    assert.match(await registry.metrics(), /# TYPE a gauge\na\{route="chat"\} 5\n/)
    series.at('chat').value = 0
    assert.match(await registry.metrics(), /a\{route="chat"\} 0\n/)
  })

  it('has one series where there are no labels', async () => {
    const registry = new Registry()
    const series = Series.gauge({ name: 'a', help: 'A.', labelNames: [], registry })
    series.at().value = 7
    assert.match(await registry.metrics(), /^a 7$/m)
    series.at().value = 0
    assert.match(await registry.metrics(), /^a 0$/m)
  })

  it('forgets what is dropped, and keeps the cells of the rest', async () => {
    const registry = new Registry()
    const series = Series.counter({ name: 'a', help: 'A.', labelNames, registry })
    const kept = series.at('chat', '101')
    kept.value = 2
    series.at('old', '101').value = 3
    series.at('old', '404').value = 4
    series.drop(({ route }, value) => route === 'old' && value < 4)
    kept.value += 1
    assert.equal(series.at('chat', '101'), kept)
    const left = ['a{route="chat",status="101"} 3', 'a{route="old",status="404"} 4']
    assert.deepEqual((await registry.metrics()).trimEnd().split('\n').slice(2), left)
    assert.equal(series.at('old', '101').value, 0)
  })

  it('drops the series without labels too', async () => {
    const registry = new Registry()
    const series = Series.counter({ name: 'a', help: 'A.', labelNames: [], registry })
    series.at().value = 7
    series.drop(() => true)
    assert.equal(series.at().value, 0)
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
