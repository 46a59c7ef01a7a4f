/**
 * Draws groups of horizontal bars in two columns. The scale is linear up to a limit and bars are cut there, because a
 * ratio has to be seen as a length; the figures stand beside the bars as text. The background is transparent, and every
 * colour can be read on white as well as on a dark page.
 */
import { element, text } from './svg.ts'

export interface BarGroup {
  readonly title: string
  readonly bars: readonly Bar[]
}

interface Bar {
  readonly name: string
  /** `undefined` for no bar. */
  readonly ratio: number | undefined
  /** Beside the ratio, or instead of it. */
  readonly words: string
}

export interface BarChart {
  readonly title: string
  /** In the order of their colours. */
  readonly names: readonly string[]
  readonly groups: readonly BarGroup[]
}

/** Where bars are cut. */
export const ratioMax = 4

export const inkColour = '#747c87'
export const barColours: readonly string[] = [
  '#0f7bd8',
  '#c2571a',
  '#1a8748',
  '#9b59d0',
  '#c23a6b',
  '#807a1f',
]

const width = 960
const columnWidth = width / 2
const nameWidth = 92
const valueWidth = 128
const barPitch = 16
const barHeight = 11
const groupHead = 24
const groupGap = 10
const top = 34
const axisHeight = 26
const scale = (columnWidth - nameWidth - valueWidth) / ratioMax

export function drawBars({ title, names, groups }: BarChart): string {
  const columns = inTwo(groups)
  const height = Math.max(...columns.map(heightOf)) + top + axisHeight
  const drawn = columns.map((column, at) => {
    const [parts, bottom] = drawColumn(column, names)
    const content = [...parts, ...(column.length > 0 ? axis(bottom) : [])].join('\n')
    return element('g', { transform: `translate(${at * columnWidth} ${top})` }, `\n${content}\n`)
  })
  const style = { fill: inkColour, 'font-family': 'system-ui, sans-serif', 'font-size': 12 }
  const size = { width, height, viewBox: `0 0 ${width} ${height}` }
  const content = [
    element('title', {}, title),
    text(8, 18, title, { 'font-size': 14, 'font-weight': 'bold' }),
    ...drawn,
  ]
  return `${element('svg', { xmlns: 'http://www.w3.org/2000/svg', role: 'img', ...size, ...style }, `\n${content.join('\n')}\n`)}\n`
}

function heightOf(groups: readonly BarGroup[]): number {
  return groups.reduce((sum, group) => sum + groupHeight(group), 0)
}

function groupHeight({ bars }: BarGroup): number {
  return groupHead + bars.length * barPitch + groupGap
}

/** The first half of the height is for the left column. */
function inTwo(groups: readonly BarGroup[]): readonly (readonly BarGroup[])[] {
  const left = groups.slice(0, Math.ceil(groups.length / 2))
  return [left, groups.slice(left.length)]
}

function drawColumn(groups: readonly BarGroup[], names: readonly string[]): [string[], number] {
  const parts: string[] = []
  let y = 0
  for (const group of groups) {
    parts.push(text(8, y + 15, group.title, { 'font-weight': 'bold' }))
    for (const [at, bar] of group.bars.entries()) {
      const colour = barColours[names.indexOf(bar.name) % barColours.length] ?? inkColour
      parts.push(...drawBar(bar, y + groupHead + at * barPitch, colour))
    }
    y += groupHeight(group)
  }
  return [parts, y]
}

function drawBar({ name, ratio, words }: Bar, y: number, colour: string): string[] {
  const label = text(nameWidth - 8, y + 9.5, name, { 'text-anchor': 'end' })
  if (ratio === undefined) return [label, text(besideX(0), y + 9.5, words)]
  const length = Math.min(ratio, ratioMax) * scale
  const bar = element('rect', {
    x: nameWidth,
    y,
    width: Math.max(length, 1),
    height: barHeight,
    fill: colour,
  })
  const cut =
    ratio > ratioMax
      ? [text(nameWidth + length - 14, y + 9.5, '»', { fill: '#fff', 'font-weight': 'bold' })]
      : []
  // Not before the line at 1, which would run through the words.
  const beside = text(besideX(length), y + 9.5, `×${ratio.toFixed(2)}, ${words}`)
  return [label, bar, ...cut, beside]
}

function besideX(length: number): number {
  return nameWidth + Math.max(length, scale) + 6
}

/** The ticks, and a dashed line at 1 through all bars. */
function axis(bottom: number): string[] {
  const ticks = Array.from({ length: ratioMax + 1 }, (_, ratio) =>
    text(nameWidth + ratio * scale, bottom + 12, ratio === ratioMax ? `≥ ${ratio}` : `${ratio}`, {
      'text-anchor': 'middle',
    }),
  )
  const x = nameWidth + scale
  const line = { x1: x, x2: x, y1: groupHead - 4, y2: bottom, stroke: inkColour }
  return [element('line', { ...line, 'stroke-dasharray': '3 3' }), ...ticks]
}
