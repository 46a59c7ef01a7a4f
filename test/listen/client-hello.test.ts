import assert from 'node:assert/strict'
import { before, describe, it, mock } from 'node:test'
import { HelloReader, readClientHello } from '../../src/listen/client-hello.ts'
import { Dice } from '../relay/dice.ts'
import { clientHello } from '../support/client-hello.ts'

/** The same message in records of so many bytes. */
function split(hello: Buffer, bytes: number): Buffer {
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let start = 0; start < message.length; start += bytes) {
    const part = message.subarray(start, start + bytes)
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
  }
  return Buffer.concat(records)
}

describe('readClientHello', () => {
  let hello: Buffer
  before(async () => {
    hello = await clientHello({ servername: 'Chat.Example.com' })
  })

  it('finds the name, in lower case', () => {
    assert.deepEqual(readClientHello(hello), { name: 'chat.example.com' })
  })

  it('finds none where the client names none', async () => {
    assert.deepEqual(readClientHello(await clientHello({})), { name: undefined })
  })

  it('waits for the whole of it, wherever it is cut', () => {
    for (let end = 0; end < hello.length; end += 1) {
      assert.equal(readClientHello(hello.subarray(0, end)), 'more', `${end} bytes`)
    }
  })

  it('puts together what is in several records, and leaves what is behind it', () => {
    for (const bytes of [200, 500]) {
      assert.deepEqual(readClientHello(split(hello, bytes)), { name: 'chat.example.com' })
    }
    assert.deepEqual(readClientHello(Buffer.concat([hello, hello])), { name: 'chat.example.com' })
  })

  it('knows what is none by its first bytes', () => {
    for (const text of ['G', 'GET / HTTP/1.1', '\x16\x02', '\x16\x03\x01\x00\x05\x02']) {
      assert.equal(readClientHello(Buffer.from(text, 'latin1')), undefined, text)
    }
    assert.equal(readClientHello(Buffer.alloc(0)), 'more')
  })

  it('does not wait for what is too long, in too many records, or empty', () => {
    const long = Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0x40, 0])
    assert.equal(readClientHello(long), undefined)
    assert.equal(readClientHello(split(hello, 5)), undefined)
    assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 0])), undefined)
  })

  it('does not wait for a record that is longer than one may be', () => {
    assert.equal(readClientHello(Buffer.from([22, 3, 1, 0x40, 1, 1])), undefined)
  })

  it('never throws, whatever is changed in it', () => {
    const dice = new Dice(7)
    for (let round = 0; round < 5000; round += 1) {
      const changed = Buffer.from(hello)
      for (let count = 1 + dice.count(4); count > 0; count -= 1)
        changed[dice.count(changed.length)] = dice.count(256)
      const read = readClientHello(changed.subarray(0, 1 + dice.count(changed.length)))
      assert.ok(read === undefined || read === 'more' || 'name' in read)
    }
  })
})

describe('HelloReader', () => {
  it('finds the same as a look at the whole, however it is cut', async () => {
    const hello = await clientHello({ servername: 'chat.example.com' })
    for (const bytes of [hello, split(hello, 100), split(hello, 500)]) {
      for (const size of [1, 2, 7, 1000]) {
        const reader = new HelloReader()
        let read: ReturnType<HelloReader['read']> = 'more'
        for (let at = 0; at < bytes.length && read === 'more'; at += size) {
          read = reader.read(bytes.subarray(at, at + size))
        }
        assert.deepEqual(read, { name: 'chat.example.com' }, `by ${size}`)
        assert.equal(reader.bytes.compare(bytes.subarray(0, reader.bytes.length)), 0)
      }
    }
  })

  it('knows by the first byte, and by the head of the first record, what is none', () => {
    assert.equal(new HelloReader().read(Buffer.from('G')), undefined)
    const reader = new HelloReader()
    for (const byte of [22, 3, 1, 255]) assert.equal(reader.read(Buffer.of(byte)), 'more')
    assert.equal(reader.read(Buffer.of(255)), undefined)
  })

  it('copies bytes that come one by one a few hundred times, and not at each of them', () => {
    const message = Buffer.concat([Buffer.from([1, 0, 0x3f, 0xf0]), Buffer.alloc(0x3ff0)])
    const bytes = split(Buffer.concat([Buffer.alloc(5), message]), 1100)
    const concats = mock.method(Buffer, 'concat')
    const reader = new HelloReader()
    for (const byte of bytes.subarray(0, -1)) assert.equal(reader.read(Buffer.of(byte)), 'more')
    const { length } = concats.mock.calls
    concats.mock.restore()
    // Of the chunks, and at each look of the parts of the message.
    assert.ok(length < 600, `${length} copies`)
  })
})
