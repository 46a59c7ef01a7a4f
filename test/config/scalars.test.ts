import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { z } from 'zod'

import {
  count,
  duration,
  flag,
  formatDuration,
  formatSize,
  limit,
  name,
  oneOrMore,
  orList,
  percentage,
  regex,
  size,
  text,
} from '../../src/config/scalars.ts'

/** The value, or the message of the first issue. */
function read(schema: z.ZodType, input: unknown): unknown {
  const result = schema.safeParse(input)
  return result.success ? result.data : result.error.issues[0]?.message
}

/** What would be right stands behind a message; `hints.test.ts` is about that. */
function withoutHint(given: unknown, expected: unknown): unknown {
  const isHinted =
    typeof given === 'string' && typeof expected === 'string' && given.startsWith(`${expected}; `)
  return isHinted ? expected : given
}

const anyDuration = 'expected a duration such as 500ms, 5s, 10m, 1h30m or 7d'
const percentageMessage = 'expected a percentage from 1% to 100%, such as 10%'
const sizeMessage = 'expected a size such as 64KiB, 1MiB or 16384, from 1KiB to 1MiB'

const cases: [schema: string, of: z.ZodType, input: unknown, result: unknown][] = [
  ['duration', duration(), '500ms', 500],
  ['duration', duration(), '5s', 5000],
  ['duration', duration(), '10m', 600_000],
  ['duration', duration(), '12h', 43_200_000],
  ['duration', duration(), '7d', 604_800_000],
  ['duration', duration(), '24d', 2_073_600_000],
  ['duration', duration(), '25d', 'must be at most 24d'],
  ['duration', duration(), '999999999999d', 'must be at most 24d'],
  ['duration', duration(), '0s', 'must be longer than 0'],
  ['duration', duration(), 'off', anyDuration],
  ['duration', duration(), '5', anyDuration],
  ['duration', duration(), '5 s', anyDuration],
  ['duration', duration(), '1.5s', anyDuration],
  ['duration', duration(), '-5s', anyDuration],
  ['duration', duration(), '5S', anyDuration],
  ['duration', duration(), 5, anyDuration],
  ['duration', duration(), '5s\n', anyDuration],
  ['duration with 0', duration({ zero: true }), '0ms', 0],
  ['duration with off', duration({ off: true }), 'off', Infinity],
  [
    'duration with off',
    duration({ off: true }),
    '0s',
    'must be longer than 0; write off for no limit',
  ],
  ['duration with off', duration({ off: true }), '600h', 'must be at most 24d, or off'],
  ['duration with off', duration({ off: true }), 'never', `${anyDuration}, or off`],
  ['duration of a second or more', duration({ minSeconds: 1 }), '1000ms', 1000],
  ['duration of a second or more', duration({ minSeconds: 1 }), '999ms', 'must be at least 1s'],
  [
    'duration of a second or more',
    duration({ off: true, minSeconds: 1 }),
    '1ms',
    'must be at least 1s, or off',
  ],
  ['duration of a second or more', duration({ off: true, minSeconds: 1 }), 'off', Infinity],
  ['percentage', percentage(), '1%', 0.01],
  ['percentage', percentage(), '10%', 0.1],
  ['percentage', percentage(), '100%', 1],
  ['percentage', percentage(), '0%', percentageMessage],
  ['percentage', percentage(), '101%', percentageMessage],
  ['percentage', percentage(), '2.5%', percentageMessage],
  ['percentage', percentage(), 10, percentageMessage],
  ['size', size(1024, 1024 ** 2), '64KiB', 65_536],
  ['size', size(1024, 1024 ** 2), '1MiB', 1_048_576],
  ['size', size(1024, 1024 ** 2), 16384, 16_384],
  ['size', size(1024, 1024 ** 2), '16384', 16_384],
  ['size', size(1024, 1024 ** 2), '1GiB', sizeMessage],
  ['size', size(1024, 1024 ** 2), 1023, sizeMessage],
  ['size', size(1024, 1024 ** 2), '64KB', sizeMessage],
  ['size', size(1024, 1024 ** 2), 2048.5, sizeMessage],
  ['size', size(1024, 1024 ** 2), null, sizeMessage],
  ['count', count(1, 9), 9, 9],
  ['count', count(1, 9), '9', 9],
  ['count', count(1, 9), 10, 'expected a whole number from 1 to 9'],
  ['count', count(1, 9), '0', 'expected a whole number from 1 to 9'],
  ['count', count(1, 9), 1.5, 'expected a whole number from 1 to 9'],
  ['limit', limit(), 1, 1],
  ['limit', limit(), '20', 20],
  ['limit', limit(), 'off', Infinity],
  ['limit', limit(), 0, 'expected a whole number from 1 to 1000000000, or off'],
  ['limit', limit(), 'none', 'expected a whole number from 1 to 1000000000, or off'],
  ['flag', flag(), true, true],
  ['flag', flag(), 'false', false],
  ['flag', flag(), 'true', true],
  ['flag', flag(), 'yes', 'expected true or false'],
  ['flag', flag(), 1, 'expected true or false'],
  ['name', name(), 'a.b_c-9', 'a.b_c-9'],
  ['text', text('a word'), '', 'expected a word'],
  ['text or list', oneOrMore(text('a word'), 'words'), 'a', ['a']],
  ['text or list', oneOrMore(text('a word'), 'words'), ['a', 'b'], ['a', 'b']],
  ['text or list', oneOrMore(text('a word'), 'words'), [], 'expected words'],
  ['regular expression', regex(), '^/[a-z]+$', '^/[a-z]+$'],
  ['regular expression', regex(), '[', 'not a valid regular expression: missing closing ]: `[`'],
  [
    'regular expression',
    regex(),
    'a{9999}',
    'not a valid regular expression: invalid repeat count: `{9999}`',
  ],
  [
    'regular expression',
    regex(),
    '(?<!a)b',
    'not a valid regular expression: invalid named capture: `(?<!a)b`; look-around and back-references are not supported (RE2 syntax)',
  ],
  [
    'regular expression',
    regex(),
    'a'.repeat(1001),
    'expected a regular expression of at most 1000 characters',
  ],
]

describe('scalars', () => {
  for (const [schema, of, input, result] of cases) {
    it(`reads ${JSON.stringify(input).slice(0, 40)} as ${schema}`, () => {
      assert.deepEqual(withoutHint(read(of, input), result), result)
    })
  }

  for (const wrong of ['', '-a', 'a b', 'a:b', 'a/b', 'ä', 'a'.repeat(65)]) {
    it(`takes ${JSON.stringify(wrong).slice(0, 20)} for no name`, () => {
      assert.match(String(read(name(), wrong)), /^expected a name of letters/)
    })
  }

  const durations = ['off', '0s', '1ms', '1500ms', '90s', '10m', '36h', '24d']
  for (const written of durations) {
    it(`writes the duration ${written} as it is read`, () => {
      const ms = duration({ off: true, zero: true }).parse(written)
      assert.equal(formatDuration(ms), written)
    })
  }

  it('writes durations in the greatest unit that they are a multiple of', () => {
    assert.equal(formatDuration(60_000), '1m')
    assert.equal(formatDuration(86_400_000), '1d')
  })

  for (const written of ['5000', '4KiB', '1500KiB', '16MiB', '2GiB']) {
    it(`writes the size ${written} as it is read`, () => {
      assert.equal(formatSize(size(1024, 1024 ** 4).parse(written)), written)
    })
  }

  it('joins words the way people do', () => {
    assert.equal(orList([]), '')
    assert.equal(orList(['a']), 'a')
    assert.equal(orList(['a', 'b']), 'a or b')
    assert.equal(orList(['a', 'b', 'c']), 'a, b or c')
  })
})
