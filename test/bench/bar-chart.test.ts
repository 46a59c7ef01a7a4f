import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { barColours, drawBars, inkColour, ratioMax } from '../../bench/bar-chart.ts'
import { peers } from '../../bench/peers.ts'

const names = ['upgate', 'nginx', 'caddy']

function drawn(ratio: number | undefined, words = '12 µs'): string {
  const groups = [
    {
      title: 'echo64 & more',
      bars: [
        { name: 'upgate', ratio: 1, words: '10 µs' },
        { name: 'nginx', ratio, words },
      ],
    },
  ]
  return drawBars({ title: 'costs', names, groups })
}

function barWidths(svg: string): number[] {
  return [...svg.matchAll(/<rect [^>]*\bwidth="([\d.]+)"/g)].map(([, width]) => Number(width))
}

/** WCAG 2: of two colours, from 1 to 21. */
function contrast(first: string, second: string): number {
  const [dark = 0, light = 0] = [luminance(first), luminance(second)].toSorted((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

describe('drawBars', () => {
  it('draws a bar as long as its ratio', () => {
    const [one = 0, other] = barWidths(drawn(2.5))
    assert.equal(other, one * 2.5)
  })

  it('cuts a bar at the end of the scale, with its figure as text', () => {
    const svg = drawn(77)
    const [one = 0, other] = barWidths(svg)
    assert.equal(other, one * ratioMax)
    assert.match(svg, />»<.*\n<text [^>]*>×77\.00, 12 µs</)
  })

  it('draws no bar for a peer without a figure, and says so', () => {
    const svg = drawn(undefined, 'not measured')
    assert.equal(barWidths(svg).length, 1)
    assert.match(svg, />not measured</)
  })

  it('escapes what is not text in SVG', () => {
    assert.match(drawn(1), />echo64 &amp; more</)
  })

  it('has a colour for each peer that can be told from a white page and from a dark one', () => {
    assert.ok(barColours.length >= peers.filter(({ variantOf }) => variantOf === undefined).length)
    for (const page of ['#ffffff', '#0d1117']) {
      assert.ok(contrast(inkColour, page) > 4.2)
      for (const colour of barColours) assert.ok(contrast(colour, page) > 3, `${colour} on ${page}`)
    }
  })
})
