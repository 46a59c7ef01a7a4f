import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { costTable, gapLines, shareLines } from '../../bench/tables.ts'
import { resultsOf, sample, work } from './samples.ts'

describe('costTable', () => {
  it('shows the median, the spread, and how many times the cost of upgate it is', () => {
    const results = resultsOf(work('echo64'), { upgate: [10, 12, 11], nginx: [22] })
    assert.match(
      costTable(results, ['upgate', 'nginx']),
      /\| 11\.0 \(10\.0 to 12\.0\) \| 22\.0 \(22\.0 to 22\.0\), \*\*×2\.00\*\* \|$/,
    )
  })

  it('has a row for each measure of a work', () => {
    const latency = work('latency1', {
      measures: [
        { of: 'p50us', label: 'p50', unit: 'µs' },
        { of: 'p99us', label: 'p99', unit: 'µs' },
      ],
    })
    const results = resultsOf(latency, {})
    results.add(latency, 'upgate', sample(1, { p50us: 30, p99us: 90 }))
    const [, , first, second] = costTable(results, ['upgate']).split('\n')
    assert.match(first ?? '', /\(latency1\): p50 \| µs \| 30\.0/)
    assert.match(second ?? '', /\(latency1\): p99 \| µs \| 90\.0/)
  })

  it('shows a dash for a peer that takes no part, and keeps its reason for the list of gaps', () => {
    const idle = work('idle')
    const results = resultsOf(idle, { upgate: [2] })
    results.set(idle, 'apache2', { kind: 'absent', why: 'would need 5,000 threads' })
    assert.match(costTable(results, ['upgate', 'apache2']), /\| - \|$/)
    assert.equal(gapLines(results), '- apache2 takes no part in idle: would need 5,000 threads')
    assert.equal(results.hasFailures, false)
  })

  it('shows a failure as one, with its words in one line of the list of gaps', () => {
    const echo = work('echo64')
    const results = resultsOf(echo, { upgate: [2] })
    results.set(echo, 'nginx', { kind: 'failed', why: 'has\nended' })
    assert.match(costTable(results, ['upgate', 'nginx']), /\| failed \|$/)
    assert.equal(gapLines(results), '- nginx failed in echo64: has ended')
    assert.equal(results.hasFailures, true)
  })

  it('leaves out a work that the machine cannot do, and says so', () => {
    const echo = work('tls-echo64')
    const results = resultsOf(echo, {})
    results.skip(echo, 'no OpenSSL')
    assert.equal(costTable(results, ['upgate']), '')
    assert.equal(gapLines(results), '- tls-echo64 was left out: no OpenSSL')
  })
})

describe('shareLines', () => {
  it('points at a load generator that had a whole core to do', () => {
    const echo = work('echo64')
    const results = resultsOf(echo, {})
    const shares = { gateway: 0.2, load: 0.95, upstream: 0.3, others: 0.1 }
    results.add(echo, 'upgate', sample(1, { shares }))
    assert.equal(
      shareLines(results),
      '- echo64 upgate: load 95 %, upstream 30 %, others 10 % **THE LIMIT**',
    )
  })

  it('points at a machine that was busy with something else', () => {
    const echo = work('echo64')
    const results = resultsOf(echo, {})
    const shares = { gateway: 0.2, load: 0.1, upstream: 0.1, others: 1.02 }
    results.add(echo, 'upgate', sample(1, { shares }))
    assert.match(shareLines(results), /, others 102 % \*\*DISTURBED\*\*$/)
  })

  it('tells how late messages were sent that were due by the clock', () => {
    const paced = work('latency50')
    const results = resultsOf(paced, {})
    const shares = { gateway: 0.2, load: 0.3, upstream: 0.2, others: 0.1 }
    results.add(paced, 'upgate', sample(1, { shares, lateP99us: 25 }))
    assert.match(shareLines(results), /, sent 25\.0 µs late \(p99\)$/)
  })
})
