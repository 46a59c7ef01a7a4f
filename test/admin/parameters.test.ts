import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { parseParameters, queryOf, unknownParameters } from '../../src/admin/parameters.ts'
import { count, duration } from '../../src/config/scalars.ts'

const shape = {
  minAge: duration().optional(),
  limit: count(1, 10).prefault(5),
  name: z.string().optional(),
}

describe('parseParameters', () => {
  it('gives values in the form of the program, and defaults', () => {
    assert.deepEqual(parseParameters(shape, { minAge: '5m' }), {
      values: { minAge: 300_000, limit: 5, name: undefined },
      problems: [],
    })
  })

  it('tells everything that is wrong', () => {
    const { problems } = parseParameters(shape, { minAge: '5', limit: '11', color: 'red' })
    assert.deepEqual(problems, [
      'there is no parameter "color"; there are minAge, limit, name',
      'minAge: expected a duration such as 500ms, 5s, 10m, 1h30m or 7d; write 5s',
      'limit: expected a whole number from 1 to 10',
    ])
  })
})

describe('unknownParameters', () => {
  it('names the one that was probably meant', () => {
    assert.deepEqual(unknownParameters(['minage', 'limit'], Object.keys(shape)), [
      'there is no parameter "minage", did you mean minAge?',
    ])
  })

  it('says so where there are none', () => {
    assert.deepEqual(unknownParameters(['a'], []), [
      'there is no parameter "a"; this call takes none',
    ])
  })

  it('repeats no more of a name than is of use', () => {
    const [sentence = ''] = unknownParameters(['x'.repeat(5000)], ['limit'])
    assert.ok(sentence.length < 200)
  })

  it('takes no name of every object for a parameter', () => {
    assert.equal(unknownParameters(['toString', '__proto__'], ['limit']).length, 2)
  })
})

describe('queryOf', () => {
  it('decodes names and values', () => {
    assert.deepEqual({ ...queryOf('a=1%202&b=&c').raw }, { a: '1 2', b: '', c: '' })
  })

  it('tells what is there twice', () => {
    assert.deepEqual(queryOf('a=1&b=1&a=2&a=3').problems, ['a is there twice'])
  })

  it('keeps __proto__ as a name', () => {
    assert.deepEqual(Object.keys(queryOf('__proto__=1').raw), ['__proto__'])
  })
})
