import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { onlyValue, requestIdOf, traceparentOf } from '../../src/request/identifiers.ts'
import { fieldsOf } from './reading.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('requestIdOf', () => {
  for (const id of ['a', 'A1._~:+/=@-', 'x'.repeat(128)]) {
    it(`takes ${id.slice(0, 20)} over from a trusted proxy`, () => {
      assert.equal(requestIdOf(['X-Request-Id', id], true), id)
    })
  }

  const made: [name: string, lines: string[], peerTrusted: boolean][] = [
    ['there is none', [], true],
    ['nobody trusted sends it', ['X-Request-Id: abc'], false],
    ['it is empty', ['X-Request-Id:'], true],
    ['it is too long', [`X-Request-Id: ${'x'.repeat(129)}`], true],
    ['it has a blank', ['X-Request-Id: a b'], true],
    ['it has a quote', ['X-Request-Id: a"b'], true],
    ['there are two', ['X-Request-Id: a', 'X-Request-Id: b'], true],
  ]
  for (const [name, lines, peerTrusted] of made) {
    it(`makes one when ${name}`, () => {
      assert.match(requestIdOf(fieldsOf(lines), peerTrusted), uuid)
    })
  }

  it('makes another one each time', () => {
    assert.notEqual(requestIdOf([], true), requestIdOf([], true))
  })
})

describe('traceparentOf', () => {
  const trace = '0af7651916cd43dd8448eb211c80319c'
  const span = 'b7ad6b7169203331'
  for (const value of [
    `00-${trace}-${span}-00`,
    `00-${trace}-${span}-ff`,
    `01-${trace}-${span}-01`,
    `01-${trace}-${span}-01-more`,
  ]) {
    it(`takes ${value} over from a trusted proxy`, () => {
      assert.equal(traceparentOf(['traceparent', value], true), value)
    })
  }

  const made: [name: string, lines: string[], peerTrusted: boolean][] = [
    ['there is none', [], true],
    ['nobody trusted sends it', [`traceparent: 00-${trace}-${span}-01`], false],
    [
      'there are two',
      [`traceparent: 00-${trace}-${span}-01`, `Traceparent: 00-${trace}-${span}-01`],
      true,
    ],
    ['its version is ff', [`traceparent: ff-${trace}-${span}-01`], true],
    ['version 00 goes on', [`traceparent: 00-${trace}-${span}-01-more`], true],
    ['the trace is zero', [`traceparent: 00-${'0'.repeat(32)}-${span}-01`], true],
    ['the parent is zero', [`traceparent: 00-${trace}-${'0'.repeat(16)}-01`], true],
    ['it is in capitals', [`traceparent: 00-${trace.toUpperCase()}-${span}-01`], true],
    ['it is too short', [`traceparent: 00-${trace.slice(1)}-${span}-01`], true],
    ['it is empty', ['traceparent:'], true],
  ]
  for (const [name, lines, peerTrusted] of made) {
    it(`makes one when ${name}`, () => {
      const value = traceparentOf(fieldsOf(lines), peerTrusted)
      assert.match(value, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      assert.ok(!lines.some((line) => line.includes(value)))
      assert.equal(traceparentOf(['traceparent', value], true), value)
    })
  }
})

describe('onlyValue', () => {
  it('gives the value of a field that is there once, and nothing otherwise', () => {
    assert.equal(onlyValue(['A', '1', 'B', '2'], 'a'), '1')
    assert.equal(onlyValue(['A', '1', 'a', '1'], 'a'), undefined)
    assert.equal(onlyValue([], 'a'), undefined)
  })
})
