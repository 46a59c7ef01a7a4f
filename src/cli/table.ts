/** Tables for a terminal: aligned columns, cut to its width. Users and paths come from clients. */

import { visible } from '../base/visible.ts'

export interface Column<Row> {
  readonly title: string
  /** Numbers stand to the right, so that their sizes can be seen. */
  readonly align: 'left' | 'right'
  text(row: Row): string
}

/** Lines of a table with its titles. No line is wider than `width`. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number = Infinity,
): string[] {
  const cells = rows.map((row) => columns.map((column) => visible(column.text(row))))
  const titles = columns.map(({ title }) => title)
  const lines = [titles, ...cells]
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => lengthOf(line[index] ?? ''))),
  )
  return lines.map((line) => {
    const padded = line.map((cell, index) =>
      pad(cell, widths[index] as number, columns[index]?.align ?? 'left'),
    )
    return cut(padded.join('  ').trimEnd(), width)
  })
}

/** At most so many characters; the last one says that there are more. */
export function cut(text: string, width: number): string {
  const characters = Array.from(text)
  return characters.length <= width
    ? text
    : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - lengthOf(text)))
  return align === 'left' ? text + blanks : blanks + text
}

function lengthOf(text: string): number {
  return Array.from(text).length
}
