import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { headersOf, isField, isValue } from '../../src/http2/fields.ts'

describe('isField', () => {
  it('takes tokens in lower case with any visible value', () => {
    for (const [name, value] of [
      ['x', ''],
      ["!#$%&'*+-.^_`|~09az", 'a\tb c'],
      ['server', 'gr\xfc\xdfe, \xff'],
    ] as const) {
      assert.equal(isField(name, value), true, name)
    }
  })

  it('takes no name that HTTP/2 does not have', () => {
    for (const name of ['', 'X-Up', ':status', 'a b', 'a:', 'a\r', 'a\n', 'a\0', 'gr\xfcn']) {
      assert.equal(isField(name, 'v'), false, JSON.stringify(name))
    }
  })

  it('takes no value that would be more than one line, or have a character that no line has', () => {
    for (const value of ['a\r', 'a\nb: c', 'a\0', 'a\x1f', 'a\x7f', 'a\u0100', 'a\r\nb: c']) {
      assert.equal(isField('x', value), false, JSON.stringify(value))
      assert.equal(isValue(value), false, JSON.stringify(value))
    }
  })
})

describe('headersOf', () => {
  it('makes one line of those with one name, whatever its case', () => {
    const headers = headersOf(['Via', 'a', 'X', '1', 'via', 'b', 'VIA', 'c'], new Set())
    assert.deepEqual({ ...headers }, { via: 'a, b, c', x: '1' })
  })

  it('keeps the lines of fields that are no lists', () => {
    const headers = headersOf(
      ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'WWW-Authenticate', 'Basic'],
      new Set(),
    )
    assert.deepEqual(
      { ...headers },
      { 'set-cookie': ['a=1', 'b=2'], 'www-authenticate': ['Basic'] },
    )
  })

  it('leaves out what it is told to', () => {
    const headers = headersOf(['Connection', 'close', 'X', '1'], new Set(['connection']))
    assert.deepEqual({ ...headers }, { x: '1' })
  })

  it('knows no names that an object of JavaScript has', () => {
    const headers = headersOf(['Constructor', 'a', '__proto__', 'b', 'valueof', 'c'], new Set())
    assert.deepEqual(Object.entries(headers), [
      ['constructor', 'a'],
      ['__proto__', 'b'],
      ['valueof', 'c'],
    ])
  })
})
