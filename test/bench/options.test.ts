import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOptions } from '../../bench/options.ts'
import { works } from '../../bench/works.ts'

describe('readOptions', () => {
  it('takes works and peers by their names', () => {
    const options = readOptions(['--works', 'idle-h2,echo64-h2', '--peers', 'upgate,haproxy'])
    assert.deepEqual(
      options.works.map(({ name }) => name),
      ['idle-h2', 'echo64-h2'],
    )
    assert.deepEqual(
      options.peers.map(({ name }) => name),
      ['upgate', 'haproxy'],
    )
    assert.equal(options.resultsFile, undefined)
  })

  it('takes all works if none is named, and writes the results of such a run', () => {
    const options = readOptions([])
    assert.deepEqual(options.works, works)
    assert.match(options.resultsFile ?? '', /bench\/results\.md$/)
  })

  it('writes results where it is told to, or nowhere', () => {
    assert.equal(readOptions(['--works', 'get', '--results', '/tmp/a.md']).resultsFile, '/tmp/a.md')
    assert.equal(readOptions(['--rounds', '1']).resultsFile, undefined)
  })

  it('adds the settings of a peer that a work compares', () => {
    const options = readOptions(['--works', 'echo64-2threads', '--peers', 'upgate,haproxy'])
    assert.deepEqual(
      options.peers.map(({ name }) => name),
      ['upgate', 'upgate-2threads'],
    )
  })

  for (const [args, words] of [
    [['--works', 'idle-h3'], /^TypeError: unknown: idle-h3$/],
    [['--rounds', '0'], /^TypeError: --rounds: from 1 to 100$/],
  ] as const) {
    it(`refuses ${args.join(' ')}`, () => {
      assert.throws(() => readOptions(args), words)
    })
  }
})
