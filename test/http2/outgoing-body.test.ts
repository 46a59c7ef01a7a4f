import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Framing } from '../../src/http1/framing.ts'
import { OutgoingBody } from '../../src/http2/outgoing-body.ts'

interface Read {
  readonly text: string
  /** Undefined as long as nobody was told of the end. */
  readonly trailers: object | undefined
  readonly isWhole: boolean
  readonly mayEnd: boolean
}

/** What comes of a body that is written in these pieces. */
function read(framing: Framing, ...pieces: readonly string[]): Read {
  let text = ''
  let trailers: object | undefined
  const sink = {
    onData: (bytes: Buffer) => {
      text += bytes.toString('latin1')
    },
    onWhole: (told: object) => {
      assert.equal(trailers, undefined, 'told twice')
      trailers = { ...told }
    },
  }
  const body = new OutgoingBody(framing, sink, new Set(['te']))
  for (const piece of pieces) body.push(Buffer.from(piece, 'latin1'))
  return { text, trailers, isWhole: body.isWhole, mayEnd: body.mayEnd }
}

describe('OutgoingBody', () => {
  it('with a length ends with its last byte, and what is behind it goes nowhere', () => {
    const framing = { kind: 'length', bytes: 5 } as const
    const part = { text: 'hel', trailers: undefined, isWhole: false, mayEnd: false }
    assert.deepEqual(read(framing, 'hel'), part)
    const whole = { text: 'hello', trailers: {}, isWhole: true, mayEnd: true }
    assert.deepEqual(read(framing, 'hel', 'lo', 'more'), whole)
  })

  it('in chunks is without them, and has its trailers but for those that are left out', () => {
    const whole = read(
      { kind: 'chunked' },
      '2\r\nhe\r\n3\r',
      '\nllo\r\n0\r\nX-A: 1\r\nTE: x\r\n',
      '\r\n',
    )
    assert.deepEqual(whole, {
      text: 'hello',
      trailers: { 'x-a': '1' },
      isWhole: true,
      mayEnd: true,
    })
    assert.equal(read({ kind: 'chunked' }, '2\r\nhe\r\n').mayEnd, false)
  })

  it('throws for chunks that are none', () => {
    assert.throws(() => read({ kind: 'chunked' }, 'hello'), /broken chunks/)
  })

  it('without an end of its own may end at any time, and is never whole', () => {
    const bytes = { text: 'hello', trailers: undefined, isWhole: false, mayEnd: true }
    assert.deepEqual(read({ kind: 'close' }, 'he', '', 'llo'), bytes)
  })

  it('that is none is whole at once, and nobody is told', () => {
    const none = { text: '', trailers: undefined, isWhole: true, mayEnd: true }
    assert.deepEqual(read({ kind: 'none' }, 'x'), none)
  })
})
