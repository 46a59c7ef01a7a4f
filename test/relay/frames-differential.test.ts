/**
 * Random runs of frames through the scanner in C and the one in TypeScript: the same comes of them.
 *
 *     UPGATE_TEST_SCHEDULES=20000 node --test test/relay/frames-differential.test.ts     more of them
 *     UPGATE_TEST_SEED=17 UPGATE_TEST_SCHEDULES=1 node --test ...                        a certain one
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { buildFramesProgram } from '../../native/test/frames-program.ts'
import { isCi } from '../support/programs.ts'
import { outcomeOf } from './filter-run.ts'
import { makeRun, type FrameOutcome, type FrameRun } from './frame-run.ts'

const FIRST_SEED = Number(process.env['UPGATE_TEST_SEED'] ?? 1)
const COUNT = Number(process.env['UPGATE_TEST_SCHEDULES'] ?? 1000)
/** How many runs the program gets at once. */
const BATCH = 500
const OUTPUT_BYTES_MAX = 1024 * 1024 * 1024

/** Records of `native/test/frames_program.c`. */
const CHUNK = 0x10
const PINGED = 0x20
const PUT = 0x30
const PUT_LAST = 0x40
const FIN = 0x50
const PING_PAYLOAD = 0xf0
const END = 0xff

/** What the program tells of a direction. */
interface Told {
  readonly closeCode: number | null
  readonly ownPongs: number
  readonly isBetween: boolean
  readonly isFollowed: boolean
  readonly isShut: boolean
  readonly put: number
  readonly forwarded: string
  readonly [count: string]: unknown
}

function record(kind: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(5)
  head[0] = kind
  head.writeUInt32LE(payload.length, 1)
  return Buffer.concat([head, payload])
}

function recordsOf({ isMasked, payload, ping, close, steps }: FrameRun): Buffer {
  const side = isMasked ? 0 : 1
  const records = steps.map((step) => {
    switch (step.do) {
      case 'push':
        return record(CHUNK + side, step.chunk)
      case 'await':
        return record(PINGED + side)
      case 'ping':
        return record(PUT + side, ping)
      case 'close':
        return record(PUT_LAST + side, close)
      case 'fin':
        return record(FIN + side)
    }
  })
  return Buffer.concat([record(PING_PAYLOAD, payload), ...records, record(END)])
}

function toldOf(program: string, runs: readonly FrameRun[]): FrameOutcome[] {
  const input = Buffer.concat(runs.map(recordsOf))
  const { status, stdout, stderr } = spawnSync(program, [], { input, maxBuffer: OUTPUT_BYTES_MAX })
  assert.equal(status, 0, String(stderr))
  const lines = String(stdout).trimEnd().split('\n')
  assert.equal(lines.length, runs.length)
  return lines.map((line, index) => {
    const { isMasked } = runs[index] as FrameRun
    const told = (JSON.parse(line) as { up: Told; down: Told })[isMasked ? 'up' : 'down']
    const { closeCode, ownPongs, isBetween, isFollowed, isShut, put, forwarded, ...counts } = told
    return {
      forwarded,
      counts: counts as FrameOutcome['counts'],
      closeCode: closeCode ?? undefined,
      ownPongBytes: ownPongs * (isMasked ? 14 : 10),
      put,
      isBetween,
      isFollowed,
      isShut,
    }
  })
}

const folder = mkdtempSync(join(tmpdir(), 'upgate-frames-'))
const program = buildFramesProgram(folder)
const skip = program === undefined && !isCi() ? 'there is no C compiler' : false

describe('the frame scanner in C and the one in TypeScript', { skip }, () => {
  after(() => rmSync(folder, { recursive: true }))

  it(`make the same of ${COUNT} random runs`, () => {
    assert.ok(program !== undefined, 'there is no C compiler')
    for (let from = FIRST_SEED; from < FIRST_SEED + COUNT; from += BATCH) {
      const length = Math.min(BATCH, FIRST_SEED + COUNT - from)
      const runs = Array.from({ length }, (_, index) => makeRun(from + index))
      const told = toldOf(program, runs)
      for (const [index, run] of runs.entries()) {
        assert.deepEqual(told[index], outcomeOf(run), `UPGATE_TEST_SEED=${run.seed}`)
      }
    }
  })
})
