import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import {
  byteRateText,
  bytesText,
  counted,
  countText,
  rateText,
  secondsText,
} from '../../src/cli/units.ts'

const KIB = 1024

describe('bytesText', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [1, '1 B'],
    [999, '999 B'],
    [1000, '1.0 KiB'],
    [KIB, '1.0 KiB'],
    [9.94 * KIB, '9.9 KiB'],
    [9.96 * KIB, '10 KiB'],
    [999.4 * KIB, '999 KiB'],
    [999.6 * KIB, '1.0 MiB'],
    [34 * KIB ** 2, '34 MiB'],
    [5 * KIB ** 3, '5.0 GiB'],
    [2 * KIB ** 4, '2.0 TiB'],
    [5000 * KIB ** 5, '5000 PiB'],
  ] as const) {
    it(`writes ${bytes} as ${text}`, () => assert.equal(bytesText(bytes), text))
  }
})

describe('secondsText', () => {
  for (const [seconds, text] of [
    [0, '0ms'],
    [0.0004, '0ms'],
    [0.45, '450ms'],
    [1, '1s'],
    [59.9, '59s'],
    [60, '1m00s'],
    [192, '3m12s'],
    [3600, '1h00m'],
    [18_240, '5h04m'],
    [86_400, '1d00h'],
    [183_600, '2d03h'],
  ] as const) {
    it(`writes ${seconds} as ${text}`, () => assert.equal(secondsText(seconds), text))
  }
})

describe('rates and counts', () => {
  it('have a dash for nothing', () => {
    assert.deepEqual(
      [byteRateText(0), byteRateText(0.4), rateText(0), rateText(0.04)],
      ['-', '-', '-', '-'],
    )
  })

  it('are short', () => {
    assert.equal(byteRateText(1536), '1.5 KiB/s')
    assert.equal(rateText(0.25), '0.3')
    assert.equal(rateText(12.4), '12')
    assert.equal(rateText(12_345), '12,345')
    assert.equal(countText(1_234_567), '1,234,567')
  })

  it('know one from many', () => {
    assert.equal(counted(1, 'tunnel'), '1 tunnel')
    assert.equal(counted(0, 'tunnel'), '0 tunnels')
    assert.equal(counted(1200, 'tunnel'), '1,200 tunnels')
  })
})
