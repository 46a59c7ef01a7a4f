import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { cut, printable, tableLines, type Column } from '../../src/cli/table.ts'

interface Row {
  readonly name: string
  readonly size: number
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', align: 'left', text: ({ name }) => name },
  { title: 'SIZE', align: 'right', text: ({ size }) => String(size) },
  { title: 'X', align: 'left', text: () => 'x' },
]

describe('tableLines', () => {
  it('aligns words to the left and numbers to the right', () => {
    const rows = [
      { name: 'a', size: 5 },
      { name: 'longer', size: 12_345 },
    ]
    assert.deepEqual(tableLines(columns, rows), [
      'NAME     SIZE  X',
      'a           5  x',
      'longer  12345  x',
    ])
  })

  it('cuts lines to the width', () => {
    const [title, row] = tableLines(columns, [{ name: 'longer', size: 1 }], 9)
    assert.deepEqual([title, row], ['NAME    …', 'longer  …'])
  })

  it('measures characters, not their parts', () => {
    const lines = tableLines(columns, [
      { name: '😀', size: 1 },
      { name: 'b', size: 2 },
    ])
    assert.deepEqual(lines, ['NAME  SIZE  X', '😀        1  x', 'b        2  x'])
  })

  it('obeys nothing that stands in a value', () => {
    const [, row = ''] = tableLines(columns, [{ name: 'a\x1b[2Jb\r\nc', size: 1 }])
    assert.match(row, /^a\?\[2Jb\?\?c/)
  })
})

describe('printable', () => {
  for (const character of [
    '\0',
    '\x07',
    '\x1b',
    '\x7f',
    '\x9b',
    '\u202e',
    '\u2066',
    '\u2028',
    '\u200f',
  ]) {
    it(`puts a question mark for U+${character.charCodeAt(0).toString(16)}`, () => {
      assert.equal(printable(`a${character}b`), 'a?b')
    })
  }

  it('leaves other scripts as they are', () => {
    assert.equal(printable('häßlich 日本 😀'), 'häßlich 日本 😀')
  })
})

describe('cut', () => {
  it('leaves what fits', () => {
    assert.equal(cut('abc', 3), 'abc')
    assert.equal(cut('abcd', 3), 'ab…')
    assert.equal(cut('', 0), '')
    assert.equal(cut('abc', Infinity), 'abc')
  })
})
