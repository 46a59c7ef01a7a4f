import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { queryValue, queryValues, withoutParams } from '../../src/request/query.ts'

describe('queryValue', () => {
  const cases: [name: string, query: string, value: string | undefined][] = [
    ['a parameter that stands alone', 'token=abc', 'abc'],
    ['one parameter among others', 'a=1&token=abc&b=2', 'abc'],
    ['the first of two', 'token=abc&token=def', 'abc'],
    ['a decoded value', 'token=a%2Bb+c%C3%A9', 'a+b c\u00e9'],
    ['a parameter with an encoded name', '%74oken=abc', 'abc'],
    ['a parameter without a value', 'token', ''],
    ['a value with equals signs', 'token=a=b', 'a=b'],
    ['a stray percent sign as it is', 'token=100%', '100%'],
    ['nothing for another case of the name', 'Token=abc', undefined],
    ['nothing for a name behind a second question mark', '?token=abc', undefined],
    ['nothing in an empty query', '', undefined],
  ]
  for (const [name, query, value] of cases) {
    it(`gives ${name}`, () => {
      assert.equal(queryValue(query, 'token'), value)
    })
  }
})

describe('queryValues', () => {
  it('gives all values, decoded and in order', () => {
    assert.deepEqual(queryValues('a=1&b=2&a=%33', 'a'), ['1', '3'])
  })

  it('gives nothing for an empty query', () => {
    assert.deepEqual(queryValues('', 'a'), [])
  })
})

describe('withoutParams', () => {
  const cases: [name: string, query: string, rest: string][] = [
    ['the first parameter', 'token=abc&a=%7e&b=+', 'a=%7e&b=+'],
    ['the last parameter', 'a=1&token=abc', 'a=1'],
    ['the only parameter', 'token=abc', ''],
    ['every parameter of the name', 'token=1&a=1&token=2&b&token', 'a=1&b'],
    ['parameters of the second name', 'a=1&jwt=x', 'a=1'],
    ['a parameter with an encoded name', 'a=1&t%6Fken=abc', 'a=1'],
    ['a parameter whose name has a plus for a blank', 'a=1&my+key=abc', 'a=1'],
    ['nothing where the name is part of another', 'tokens=1&a=token', 'tokens=1&a=token'],
    ['nothing behind a second question mark', '?token=1', '?token=1'],
    ['nothing from empty parts', '&&a=1&', '&&a=1&'],
    ['nothing where a name is encoded badly', 't%oken=1&%=2', 't%oken=1&%=2'],
    ['nothing from an empty query', '', ''],
  ]
  for (const [name, query, rest] of cases) {
    it(`removes ${name}`, () => {
      assert.equal(withoutParams(query, ['token', 'jwt', 'my key']), rest)
    })
  }

  it('gives the same query when there is nothing to remove', () => {
    assert.equal(withoutParams('token=1', []), 'token=1')
  })

  it('leaves what URLSearchParams leaves, for 5000 random queries', () => {
    const alphabet = ['a', 'b', '=', '&', '%', '%61', '%62', '+', '%2', '?', ';', '%26']
    let state = 1
    const random = (below: number): number => {
      state = (state * 48_271) % 0x7fffffff
      return state % below
    }
    for (let round = 0; round < 5000; round += 1) {
      const query = Array.from(
        { length: random(14) },
        () => alphabet[random(alphabet.length)],
      ).join('')
      const expected = [...new URLSearchParams(`?${query}`)].filter(
        ([name]) => name !== 'a' && name !== 'ab',
      )
      const rest = withoutParams(query, ['a', 'ab'])
      assert.deepEqual([...new URLSearchParams(`?${rest}`)], expected, query)
      assert.equal(queryValue(rest, 'a'), undefined, query)
    }
  })
})
