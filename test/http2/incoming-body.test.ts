import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import type { Framing } from '../../src/http1/framing.ts'
import { IncomingBody } from '../../src/http2/incoming-body.ts'

/** What a reader gets of these chunks, and what is wrong with them. */
function read(
  framing: Framing,
  chunks: readonly string[],
  trailers: readonly string[] = [],
): { readonly text: string; readonly wrong: string | undefined } {
  const reader = new PassThrough()
  const body = new IncomingBody(framing)
  let wrong: string | undefined
  for (const chunk of chunks) wrong ??= body.data(Buffer.from(chunk), reader, () => {})
  if (trailers.length > 0) wrong ??= body.trailers(trailers)
  wrong ??= body.end(reader)
  const text = String((reader.read() as Buffer | null) ?? '')
  return { text, wrong }
}

describe('IncomingBody', () => {
  it('is the bytes themselves where it has a length, or no end of its own', () => {
    assert.equal(read({ kind: 'length', bytes: 5 }, ['he', '', 'llo']).text, 'hello')
    assert.equal(read({ kind: 'close' }, ['he', 'llo']).text, 'hello')
  })

  it('is in chunks, with its trailers, where it has no length', () => {
    assert.equal(
      read({ kind: 'chunked' }, ['hello', '', 'world!'], ['x-sum', '7', 'x-b', '']).text,
      '5\r\nhello\r\n6\r\nworld!\r\n0\r\nx-sum: 7\r\nx-b: \r\n\r\n',
    )
  })

  it('drops trailers that would frame the message or tell who its client is', () => {
    const trailers = ['content-length', '5', 'x-sum', '7', 'x_auth_user', 'a', 'x-real-ip', 'b']
    assert.equal(read({ kind: 'chunked' }, [], trailers).text, '0\r\nx-sum: 7\r\n\r\n')
  })

  it('says what is wrong with another length than it should have', () => {
    assert.equal(read({ kind: 'length', bytes: 4 }, ['hello']).wrong, 'more of a body than it says')
    assert.equal(read({ kind: 'length', bytes: 6 }, ['hello']).wrong, 'less of a body than it says')
    assert.equal(read({ kind: 'none' }, ['x']).wrong, 'more of a body than it says')
    assert.equal(read({ kind: 'none' }, ['']).wrong, undefined)
  })

  for (const [name, value] of [
    [':status', '200'],
    ['X-Upper', '1'],
    ['x-line', 'a\r\nb: c'],
  ]) {
    it(`takes no trailer ${JSON.stringify(`${name}: ${value}`)}`, () => {
      const { wrong, text } = read(
        { kind: 'chunked' },
        ['x'],
        ['x-a', '1', name ?? '', value ?? ''],
      )
      assert.equal(wrong, 'a trailer that cannot be one')
      assert.equal(text, '1\r\nx\r\n')
    })
  }

  it('tells when its reader has enough', () => {
    const reader = new PassThrough({ highWaterMark: 8 })
    const body = new IncomingBody({ kind: 'close' })
    let times = 0
    const onFull = (): void => {
      times += 1
    }
    body.data(Buffer.from('1234'), reader, onFull)
    assert.equal(times, 0)
    body.data(Buffer.from('56789'), reader, onFull)
    assert.equal(times, 1)
  })
})
