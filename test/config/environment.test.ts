import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { substitute } from '../../src/config/environment.ts'

const env = { A: 'one', EMPTY: '', NESTED: '${A}', DOLLAR: '$&$1' }

const cases: [name: string, text: string, result: string][] = [
  ['leaves text without variables alone', 'a $ b {c} $D', 'a $ b {c} $D'],
  ['puts a value in', 'x${A}y', 'xoney'],
  ['puts several values in', '${A}${A}', 'oneone'],
  ['takes an empty value as it is', '[${EMPTY}]', '[]'],
  ['takes the default for a name that is not set', '${B:-two}', 'two'],
  ['takes the default for an empty value', '${EMPTY:-two}', 'two'],
  ['prefers the value to the default', '${A:-two}', 'one'],
  ['accepts an empty default', '${B:-}', ''],
  ['accepts a default with a colon', '${B:-http://a:1}', 'http://a:1'],
  ['does not look into a value', '${NESTED}', '${A}'],
  ['does not expand patterns of replacement', '${DOLLAR}', '$&$1'],
  ['keeps what is escaped', '$${A}', '${A}'],
]

describe('substitute', () => {
  for (const [name, text, result] of cases) {
    it(name, () => assert.deepEqual(substitute(text, env), { text: result, problems: [] }))
  }

  it('tells each name that is not set', () => {
    assert.deepEqual(substitute('${B} ${C}', env).problems, [
      'the environment has no B; set it, or write ${B:-default}',
      'the environment has no C; set it, or write ${C:-default}',
    ])
  })

  for (const text of ['${}', '${A', '${1A}', '${A-B}', '${A:x}', '${ A }']) {
    it(`tells that ${text} is no variable`, () => {
      assert.deepEqual(substitute(text, env), {
        text,
        problems: [
          '"${" starts ${NAME} or ${NAME:-default}; write $${ where it is meant literally',
        ],
      })
    })
  }
})
