import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { cut, tableLines, type Column } from '../../src/cli/table.ts'

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

  it('writes what terminals obey as escapes', () => {
    const [, row = ''] = tableLines(columns, [{ name: 'a\x1b[2Jb\r\nc', size: 1 }])
    assert.match(row, /^a\\u001b\[2Jb\\u000d\\u000ac {2,}1/)
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
