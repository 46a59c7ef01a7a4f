import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  cookieValue,
  fieldValue,
  fieldValues,
  hopByHop,
  listItems,
} from '../../src/request/headers.ts'

const fields = ['Host', 'a', 'X-Tag', 'one', 'x-tag', 'two', 'X-TAG', '', 'Xtag', 'three']

describe('fieldValues', () => {
  it('gives the values of all lines of a name in any case, in order', () => {
    assert.deepEqual(fieldValues(fields, 'x-tag'), ['one', 'two', ''])
  })

  it('gives nothing for a name that is not there', () => {
    assert.deepEqual(fieldValues(fields, 'x-tags'), [])
  })

  it('does not take a value for a name', () => {
    assert.deepEqual(fieldValues(['A', 'B', 'C', 'D'], 'b'), [])
  })
})

describe('fieldValue', () => {
  it('gives the value of the first line', () => {
    assert.equal(fieldValue(fields, 'x-tag'), 'one')
  })

  it('gives nothing for a name that is not there', () => {
    assert.equal(fieldValue(fields, 'cookie'), undefined)
  })
})

describe('listItems', () => {
  const cases: [name: string, values: string[], items: string[]][] = [
    ['the items of one line', ['a, b,c'], ['a', 'b', 'c']],
    ['the items of several lines', ['a, b', 'c'], ['a', 'b', 'c']],
    ['no empty items', [',, a,\t ,b ,', ''], ['a', 'b']],
    ['items with blanks inside', ['a b , c'], ['a b', 'c']],
    ['a no-break space as part of its item', ['\u00a0a'], ['\u00a0a']],
    ['nothing for no lines', [], []],
  ]
  for (const [name, values, items] of cases) {
    it(`gives ${name}`, () => {
      assert.deepEqual(listItems(values), items)
    })
  }
})

describe('cookieValue', () => {
  const cases: [name: string, lines: string[], value: string | undefined][] = [
    ['a cookie that stands alone', ['session=abc'], 'abc'],
    ['one cookie among others', ['a=1; session=abc; b=2'], 'abc'],
    ['a cookie of a second line', ['a=1', 'session=abc'], 'abc'],
    ['a cookie behind a semicolon without a blank', ['a=1;session=abc'], 'abc'],
    ['the first of two', ['session=abc; session=def'], 'abc'],
    ['a value with equals signs', ['session=ab=c=='], 'ab=c=='],
    ['a value in quotes without them', ['session="abc"'], 'abc'],
    ['an empty value', ['session='], ''],
    [
      'every character that a value may have',
      ['session=!#$%&()*+-./:<=>?@[]^_`{|}~'],
      '!#$%&()*+-./:<=>?@[]^_`{|}~',
    ],
    ['nothing for another case of the name', ['Session=abc'], undefined],
    ['nothing for a longer name', ['mysession=abc; sessions=abc'], undefined],
    ['nothing for a name without a value', ['session'], undefined],
    ['nothing for a value with a blank', ['session=a b'], undefined],
    ['nothing for a value with one quote', ['session="abc'], undefined],
    ['nothing for a value with a backslash', ['session=a\\b'], undefined],
    ['nothing for a value with a comma', ['session=a,b'], undefined],
    ['nothing for a value beyond ASCII', ['session=\u00e9'], undefined],
    ['a valid value behind an invalid one', ['session=a b; session=abc'], 'abc'],
    ['nothing without cookies', [], undefined],
  ]
  for (const [name, lines, value] of cases) {
    it(`gives ${name}`, () => {
      const received = lines.flatMap((line) => ['Cookie', line])
      assert.equal(cookieValue(['Host', 'session=no', ...received], 'session'), value)
    })
  }

  it('reads a long line of semicolons to its end', () => {
    const line = `${'; '.repeat(50_000)}session=abc`
    assert.equal(cookieValue(['cookie', line], 'session'), 'abc')
  })
})

describe('hopByHop', () => {
  it('has every field of RFC 9110 7.6.1, and no end-to-end field', () => {
    const listed = [
      'connection',
      'proxy-connection',
      'keep-alive',
      'te',
      'transfer-encoding',
      'upgrade',
    ]
    for (const name of listed) assert.ok(hopByHop.has(name), name)
    for (const name of ['host', 'trailer', 'content-length', 'expect'])
      assert.ok(!hopByHop.has(name), name)
  })
})
