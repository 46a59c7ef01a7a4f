/** Much data through many tunnels of one gateway process. It takes the better part of a minute; run it by itself to see its figures. */

import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'node:test'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { RunningProgram } from '../support/programs.ts'

const MIB = 1024 * 1024
const TUNNELS = 200
/** One in so many reads nothing before all others are done. */
const SLOW_EVERY = 8
const BYTES = 64 * MIB
const BUFFER_BYTES = 64 * 1024
/** What a client that reads has under way at most: with more, the kernel runs out of memory for sockets before the test is done. */
const WINDOW_BYTES = MIB
/**
 * The same for one that does not read yet: too much for the sockets' buffers one way, so that the gateway is stalled,
 * and too little to fill those of both ways up to the kernel's limit. There Linux drops, for want of room, the very
 * packets that would open the other way's window, and neither end of that connection gets on again.
 */
const SLOW_WINDOW_BYTES = 24 * MIB

/**
 * How much the process may grow. Two ways of 200 tunnels hold 64 KiB each that wait to be written and as much that is
 * being read, 50 MiB; garbage buffers between two collections take the rest. Without back-pressure the slow readers
 * alone would add 25 * 24 MiB = 600 MiB.
 */
const GROWTH_BYTES_MAX = 2 * TUNNELS * 2 * BUFFER_BYTES + 200 * MIB

const CHUNK_BYTES = 64 * 1024
/** A prime, so that the content does not repeat at any multiple of a buffer's size. */
const PATTERN_BYTES = 1_048_583

/** The same pseudo-random bytes in every run; the first chunk stands behind the last, so that no read or write wraps. */
function makePattern(): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'upgate'), Buffer.alloc(16))
  const once = cipher.update(Buffer.alloc(PATTERN_BYTES))
  return Buffer.concat([once, once.subarray(0, CHUNK_BYTES)])
}

function mebibytes(bytes: number): string {
  return (bytes / MIB).toFixed(0)
}

const pattern = makePattern()
const readBuffer = Buffer.allocUnsafe(CHUNK_BYTES)
const HEAD = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

/** A client that sends its part of the pattern through a tunnel that echoes, and compares what comes back byte for byte. */
class EchoClient {
  /** Fulfilled when the tunnel is open; nothing is sent before `begin`. */
  readonly opened: Promise<void>
  /** Fulfilled after the FIN that follows the last byte. */
  readonly done: Promise<void>
  readonly #socket: net.Socket
  readonly #bytes: number
  readonly #start: number
  readonly #open: () => void
  readonly #resolve: () => void
  readonly #reject: (error: Error) => void
  #head = ''
  #isOpen = false
  #hasBegun = false
  #isHeld: boolean
  readonly #windowBytes: number
  #hasRoom = true
  #sent = 0
  #received = 0

  constructor(port: number, index: number, bytes: number, isSlow = false) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const opened = Promise.withResolvers<void>()
    this.done = promise
    this.opened = opened.promise
    this.#open = opened.resolve
    this.#resolve = resolve
    this.#reject = (error) => {
      opened.reject(error)
      reject(error)
    }
    this.#bytes = bytes
    this.#isHeld = isSlow
    this.#windowBytes = isSlow ? SLOW_WINDOW_BYTES : WINDOW_BYTES
    // Another part for each tunnel: bytes that end up in the wrong one are found.
    this.#start = (index * 5147) % PATTERN_BYTES
    this.#socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      // One buffer for all clients: nothing is kept of what was compared.
      onread: { buffer: readBuffer, callback: (count) => this.#read(count) },
    })
    this.#socket.on('error', this.#reject)
    this.#socket.on('drain', () => {
      this.#hasRoom = true
      this.#send()
    })
    this.#socket.on('end', () => this.#end())
    this.#socket.write(HEAD)
  }

  begin(): void {
    this.#hasBegun = true
    this.#send()
  }

  /** Lets a slow client read on. */
  release(): void {
    this.#isHeld = false
    this.#socket.resume()
  }

  #read(count: number): boolean {
    let from = 0
    if (!this.#isOpen) {
      from = this.#readHead(count)
      if (!this.#isOpen) return true
    }
    const length = count - from
    const at = (this.#start + this.#received) % PATTERN_BYTES
    if (length > 0 && readBuffer.compare(pattern, at, at + length, from, count) !== 0) {
      this.#fail(`other bytes than were sent behind byte ${this.#received}`)
      return false
    }
    this.#received += length
    this.#send()
    return !this.#isHeld
  }

  /** Returns where the tunnel's first byte is. */
  #readHead(count: number): number {
    const before = this.#head.length
    this.#head += readBuffer.toString('latin1', 0, count)
    const end = this.#head.indexOf('\r\n\r\n')
    if (end === -1) return count
    if (!this.#head.startsWith('HTTP/1.1 101 ')) this.#fail(this.#head)
    this.#isOpen = true
    this.#open()
    return end + 4 - before
  }

  #send(): void {
    while (
      this.#hasBegun &&
      this.#hasRoom &&
      this.#sent < this.#bytes &&
      this.#sent - this.#received < this.#windowBytes
    ) {
      const at = (this.#start + this.#sent) % PATTERN_BYTES
      const length = Math.min(CHUNK_BYTES, this.#bytes - this.#sent)
      this.#sent += length
      this.#hasRoom = this.#socket.write(pattern.subarray(at, at + length))
      if (this.#sent === this.#bytes) this.#socket.end()
    }
  }

  #end(): void {
    if (this.#received === this.#bytes) this.#resolve()
    else this.#fail(`${this.#received} of ${this.#bytes} bytes came back`)
  }

  #fail(message: string): void {
    this.#socket.destroy()
    this.#reject(new Error(message))
  }
}

describe('volume', () => {
  it('carries 64 MiB each way through each of 200 tunnels, some with slow readers, in bounded memory', async (test) => {
    const file = fileURLToPath(new URL('../fixtures/e2e/tcp-echo.ts', import.meta.url))
    await using echo = new RunningProgram(process.execPath, [file])
    const echoPort = (await echo.output(/port (\d+)\n/))[1]
    await using gateway = await startGatewayProcess(
      `relay: { bufferBytes: ${BUFFER_BYTES / 1024}KiB }
routes: [{ upgrade: [tcp], upstream: "http://127.0.0.1:${echoPort}" }]`,
    )
    const first = new EchoClient(gateway.port, 0, 1)
    first.begin()
    await first.done
    await gateway.log('tunnel close', 1)
    const idlePeakBytes = await gateway.peakBytes()
    const descriptorsBefore = await gateway.descriptors()

    const fast: EchoClient[] = []
    const slow: EchoClient[] = []
    for (let index = 0; index < TUNNELS; index += 1) {
      const isSlow = index % SLOW_EVERY === 0
      const list = isSlow ? slow : fast
      list.push(new EchoClient(gateway.port, index, BYTES, isSlow))
    }
    // The upstream accepts one connection a turn of its event loop, which takes long once it is busy.
    const all = [...fast, ...slow]
    await Promise.all(all.map((client) => client.opened))
    const startMs = performance.now()
    for (const client of all) client.begin()
    const slowDone = Promise.all(slow.map((client) => client.done))
    await Promise.race([Promise.all(fast.map((client) => client.done)), slowDone])
    for (const client of slow) client.release()
    await slowDone
    const seconds = (performance.now() - startMs) / 1000

    const closed = (await gateway.log('tunnel close', TUNNELS + 1)).slice(1)
    assert.equal(closed.length, TUNNELS)
    for (const { by, reason, bytesUp, bytesDown } of closed as Record<string, unknown>[]) {
      assert.deepEqual(
        { by, reason, bytesUp, bytesDown },
        { by: 'client', reason: 'eof', bytesUp: BYTES, bytesDown: BYTES },
      )
    }
    assert.equal(await gateway.descriptors(), descriptorsBefore)
    const peakBytes = await gateway.peakBytes()
    const rate = (2 * TUNNELS * BYTES) / seconds
    test.diagnostic(
      `${seconds.toFixed(1)} s, ${mebibytes(rate)} MiB/s, ${mebibytes(peakBytes)} MiB resident at most, ${mebibytes(idlePeakBytes)} MiB before`,
    )
    assert.ok(peakBytes - idlePeakBytes <= GROWTH_BYTES_MAX, `${peakBytes} bytes resident`)
    gateway.program.child.kill('SIGTERM')
    assert.equal((await gateway.program.exited).code, 0)
  })
})
