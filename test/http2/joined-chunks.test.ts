import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { flushJoined, joinSmallChunks } from '../../src/http2/joined-chunks.ts'

function joinedStream(): { readonly stream: Readable; readonly chunks: string[] } {
  const stream = new Readable({ read() {}, highWaterMark: 1_048_576 })
  joinSmallChunks(stream)
  const chunks: string[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  return { stream, chunks }
}

/** Until the end of a turn of the event loop, and what that has caused. */
async function turn(): Promise<void> {
  for (let count = 0; count < 3; count += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('joined chunks', () => {
  it('pass the first small chunk of a turn at once, and those behind it as one', async () => {
    const { stream, chunks } = joinedStream()
    await turn()
    for (const chunk of ['a', 'b', 'c']) stream.push(Buffer.from(chunk))
    await turn()
    stream.push(Buffer.from('d'))
    await turn()
    assert.deepEqual(chunks, ['a', 'bc', 'd'])
  })

  it('keep their order before a long chunk and the end', async () => {
    const { stream, chunks } = joinedStream()
    const long = 'x'.repeat(1000)
    for (const chunk of ['a', 'b', long, 'c', 'd']) stream.push(Buffer.from(chunk))
    stream.push(null)
    await once(stream, 'end')
    assert.equal(chunks.join(''), `ab${long}cd`)
  })

  it('are few however small their parts are while nobody reads', async () => {
    const { stream, chunks } = joinedStream()
    stream.pause()
    for (let count = 0; count < 100; count += 1) {
      for (let byte = 0; byte < 1000; byte += 1) stream.push(Buffer.from('x'))
      await turn()
    }
    // All of it but the last block is stored, in blocks.
    assert.ok(stream.readableLength > 100_000 - 16_385)
    stream.resume()
    await turn()
    assert.equal(chunks.join('').length, 100_000)
    assert.ok(chunks.length <= 8, `${chunks.length} chunks`)
  })

  it('go on when they are asked for before the stream is given up', () => {
    const { stream } = joinedStream()
    stream.pause()
    for (const chunk of ['a', 'b', 'c']) stream.push(Buffer.from(chunk))
    flushJoined(stream)
    assert.equal(String(stream.read()), 'abc')
    stream.destroy()
  })
})
