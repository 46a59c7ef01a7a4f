/** Clients that ask an HTTP/2 listener for nothing, over and over. */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  fieldBlock,
  frame,
  type FramePeer,
  framePeer,
  get,
  GOAWAY,
  HEADERS,
  keptField,
  PING,
  RST_STREAM,
  SETTINGS,
  uint32,
  WINDOW_UPDATE,
} from '../support/http2-frames.ts'
import { settled } from '../support/settled.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const MEBIBYTE = 1024 ** 2
const onLinux = process.platform === 'linux' ? false : 'only Linux has /proc'
const PROTOCOL_ERROR = 1
const CANCEL = 8
const THE_LAST = Buffer.from('the last')

/** An endpoint that answers nothing, and a gateway in front of it. */
async function gatewayTo(upstream: ScriptedUpstream, listener = ''): Promise<TestGateway> {
  return startTestGateway(configOf(upstream, listener))
}

function configOf({ url }: ScriptedUpstream, listener = ''): string {
  return `
    listeners: [{ address: "127.0.0.1:0", h2c: true, ${listener} }]
    upstreams: { app: { endpoints: [${url}] } }
    routes: [{ name: app, upstream: app }]
  `
}

/** It reads, and says nothing. */
function silentUpstream(): Promise<ScriptedUpstream> {
  return scriptedUpstream(() => {})
}

function open(stream: number, flags = END_HEADERS | END_STREAM): Buffer {
  return frame(HEADERS, flags, stream, get('/'))
}

/** Odd numbers from 1 on. */
function streams(count: number): number[] {
  return Array.from({ length: count }, (_, index) => 2 * index + 1)
}

/** What the gateway's process has taken at its peak beyond what it had, and has worked, during `run`. */
async function costTo(
  { program }: GatewayProcess,
  run: () => Promise<void>,
): Promise<{ bytes: number; cpuMs: number }> {
  const folder = `/proc/${program.child.pid}`
  const read = async (): Promise<{ now: number; peak: number; cpuMs: number }> => {
    const status = await readFile(`${folder}/status`, 'utf8')
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
    // Behind the name of the program: user and system time, in hundredths of a second.
    const stat = (await readFile(`${folder}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
    const cpuMs = (Number(stat[11]) + Number(stat[12])) * 10
    return { now: field('VmRSS'), peak: field('VmHWM'), cpuMs }
  }
  // The peak begins anew.
  await writeFile(`${folder}/clear_refs`, '5')
  const start = await read()
  await run()
  const end = await read()
  return { bytes: end.peak - start.now, cpuMs: end.cpuMs - start.cpuMs }
}

/** One field of 4000 bytes, and thousands of references to it, each of a byte. */
const BOMB = Buffer.concat([
  get('/'),
  keptField('x-bomb', 'b'.repeat(4000)),
  Buffer.alloc(12_000 - 4100, 0xbe),
])

interface Attack {
  readonly name: string
  /** SETTINGS of the client. */
  readonly settings?: Buffer
  readonly connections: number
  /** What each of them sends, in many writes. */
  readonly frames: () => Buffer[]
  /** They read nothing. */
  readonly isDeaf?: boolean
  /** Bytes of the answer to each frame, which the client waits for now and then: no bound on what is to be sent is met then. */
  readonly answerBytes?: number
  /** The gateway does not end them. */
  readonly stays?: boolean
  readonly most: { readonly mebibytes: number; readonly cpuMs: number }
}

/** As often as `count`. */
function repeated(count: number, bytes: Buffer): Buffer[] {
  return Array.from({ length: count }, () => bytes)
}

const ATTACKS: readonly Attack[] = [
  {
    name: 'streams without number',
    connections: 4,
    frames: () => streams(10_000).map((id) => open(id)),
    most: { mebibytes: 48, cpuMs: 1000 },
  },
  {
    name: 'streams that are reset at once (CVE-2023-44487)',
    connections: 4,
    frames: () =>
      streams(10_000).flatMap((id) => [open(id), frame(RST_STREAM, 0, id, uint32(CANCEL))]),
    most: { mebibytes: 48, cpuMs: 1000 },
  },
  {
    name: 'fields that are small on the wire alone',
    connections: 4,
    frames: () => streams(90).map((id) => frame(HEADERS, END_HEADERS | END_STREAM, id, BOMB)),
    stays: true,
    most: { mebibytes: 48, cpuMs: 1000 },
  },
  {
    name: 'a head in CONTINUATIONs without end',
    connections: 4,
    frames: () => [
      frame(HEADERS, END_STREAM, 1, get('/')),
      ...repeated(1000, frame(CONTINUATION, 0, 1, fieldBlock([['x-part', 'x'.repeat(16_000)]]))),
    ],
    most: { mebibytes: 48, cpuMs: 1000 },
  },
  {
    name: 'CONTINUATIONs that hold nothing',
    connections: 4,
    frames: () => [
      frame(HEADERS, END_STREAM, 1, get('/')),
      ...repeated(100_000, frame(CONTINUATION, 0, 1)),
    ],
    most: { mebibytes: 48, cpuMs: 1000 },
  },
  {
    name: 'SETTINGS',
    connections: 4,
    frames: () => repeated(50_000, frame(SETTINGS, 0, 0)),
    answerBytes: 9,
    most: { mebibytes: 32, cpuMs: 250 },
  },
  {
    name: 'PINGs',
    connections: 4,
    frames: () => repeated(50_000, frame(PING, 0, 0, Buffer.alloc(8))),
    answerBytes: 17,
    most: { mebibytes: 32, cpuMs: 250 },
  },
  {
    name: 'PINGs of which nobody reads the answers',
    connections: 4,
    frames: () => repeated(200_000, frame(PING, 0, 0, Buffer.alloc(8))),
    isDeaf: true,
    most: { mebibytes: 32, cpuMs: 250 },
  },
]

describe('what an attack costs an HTTP/2 listener', { skip: onLinux }, () => {
  let upstream: ScriptedUpstream
  let gateway: GatewayProcess

  before(async () => {
    upstream = await silentUpstream()
    gateway = await startGatewayProcess(configOf(upstream))
  })

  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const attack of ATTACKS) {
    it(`by ${attack.name} is next to nothing`, async () => {
      const { connections, most } = attack
      const frames = attack.frames()
      let ended = 0
      const { bytes, cpuMs } = await costTo(gateway, async () => {
        await Promise.all(
          Array.from({ length: connections }, async () => {
            await using peer = await framePeer(gateway.port)
            await send(attack, frames, peer)
            // Either this is answered, or the connection is over.
            peer.write(frame(PING, 0, 0, THE_LAST))
            const answer = await peer.find(({ payload }) => payload.equals(THE_LAST))
            if (answer === undefined) ended += 1
          }),
        )
      })
      assert.ok(bytes < most.mebibytes * MEBIBYTE, `${bytes} bytes`)
      assert.ok(cpuMs < most.cpuMs, `${cpuMs} ms`)
      assert.equal(ended, attack.stays === true ? 0 : connections)
    })
  }
})

describe(
  'what bodies in DATA frames of one byte cost an HTTP/2 listener',
  { skip: onLinux },
  () => {
    it('is what they hold, and not what they are sent in', async () => {
      await using silent = await silentUpstream()
      await using gateway = await startGatewayProcess(`
      listeners: [{ address: "127.0.0.1:0", h2c: true }]
      auth: { portal: { type: forward, url: "${silent.url}", timeout: 1m } }
      routes: [{ auth: [portal], upstream: "${silent.url}" }]
    `)
      await fetch(`http://127.0.0.1:${gateway.adminPort}/healthz`)
      const ids = streams(16)
      const bytes = Buffer.concat(ids.map((id) => frame(DATA, 0, id, Buffer.from('x'))))
      const cost = await costTo(gateway, async () => {
        await using peer = await framePeer(gateway.port)
        peer.write(...ids.map((id) => open(id, END_HEADERS)))
        for (let sent = 0; sent < 60_000; sent += 500) {
          await new Promise((resolve) =>
            peer.socket.write(Buffer.alloc(500 * bytes.length, bytes), resolve),
          )
        }
        peer.write(frame(PING, 0, 0, THE_LAST))
        assert.ok(await peer.find(({ payload }) => payload.equals(THE_LAST)))
      })
      assert.ok(cost.bytes < 64 * MEBIBYTE, `${cost.bytes} bytes`)
    })
  },
)

describe('what shut windows cost an HTTP/2 listener', { skip: onLinux }, () => {
  it('is a buffer for each stream', async () => {
    let sent = 0
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
      const chunk = Buffer.alloc(65_536)
      const fill = (error?: Error | null): void => {
        if (error) return
        sent += chunk.length
        connection.socket.write(chunk, fill)
      }
      fill()
    })
    await using gateway = await startGatewayProcess(configOf(upstream))
    const turn = async (): Promise<void> => {
      await fetch(`http://127.0.0.1:${gateway.adminPort}/healthz`)
    }
    const { bytes, cpuMs } = await costTo(gateway, async () => {
      // SETTINGS_INITIAL_WINDOW_SIZE 0
      const shut = Buffer.from([0, 4, 0, 0, 0, 0])
      await using peer = await framePeer(gateway.port, shut)
      peer.write(...streams(50).map((id) => open(id)))
      await peer.count(({ type }) => type === HEADERS, 50)
      await settled(() => sent, turn)
    })
    assert.ok(bytes < 96 * MEBIBYTE, `${bytes} bytes`)
    assert.ok(cpuMs < 2000, `${cpuMs} ms`)
  })
})

async function send(
  attack: Attack,
  frames: readonly Buffer[],
  { socket }: FramePeer,
): Promise<void> {
  const { answerBytes, isDeaf } = attack
  if (isDeaf === true) socket.pause()
  const start = socket.bytesRead
  for (let at = 0; at < frames.length && !socket.destroyed; at += 500) {
    await new Promise((resolve) => socket.write(Buffer.concat(frames.slice(at, at + 500)), resolve))
    if (answerBytes === undefined) continue
    while (!socket.closed && socket.bytesRead < start + answerBytes * (at + 500)) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  socket.resume()
}

describe('an HTTP/2 listener under attack', () => {
  it('ends a connection that opens more than its 100 streams', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.write(...streams(100).map((id) => open(id)), frame(PING, 0, 0, Buffer.from('pingpong')))
    await peer.find(({ type, flags }) => type === PING && flags === ACK)
    assert.equal(
      peer.frames.some(({ type }) => type === RST_STREAM),
      false,
    )
    peer.write(open(201))
    assert.equal(await peer.goneAway(), PROTOCOL_ERROR)
    await peer.closed
    await gateway.log('request', { code: 'E_CLIENT_GONE' })
  })

  it('ends a connection whose streams are reset as soon as they are open (CVE-2023-44487)', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.socket.setNoDelay()
    let pongs = 0
    for (const id of streams(300)) {
      // In one read there are so few that Node's own bound on streams that it has not cleared away is not reached.
      peer.write(open(id), frame(RST_STREAM, 0, id, uint32(CANCEL)))
      if (id % 5 !== 0) continue
      pongs += 1
      peer.write(frame(PING, 0, 0, Buffer.alloc(8)))
      await peer.count(({ type, flags }) => type === PING && flags === ACK, pongs)
    }
    assert.equal(await peer.goneAway(), ENHANCE_YOUR_CALM)
    await peer.closed
    const { cause } = await gateway.log('request', { code: 'E_HTTP2_FLOOD' })
    assert.equal(cause, 'reset streams')
  })

  it('ends a connection with streams that are reset as fast as they can be written', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.write(
      ...streams(20_000).map((id) =>
        Buffer.concat([open(id), frame(RST_STREAM, 0, id, uint32(CANCEL))]),
      ),
    )
    assert.notEqual(await peer.goneAway(), undefined)
    await peer.closed
    assert.ok(upstream.connections <= 250, `${upstream.connections} connections to the endpoint`)
  })

  it('ends a connection whose streams it is made to reset itself', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    // RFC 9113 6.9: an increment of 0 is a stream error.
    peer.write(
      ...streams(20_000).map((id) =>
        Buffer.concat([open(id), frame(WINDOW_UPDATE, 0, id, uint32(0))]),
      ),
    )
    assert.notEqual(await peer.goneAway(), undefined)
    await peer.closed
    assert.ok(upstream.connections <= 250, `${upstream.connections} connections to the endpoint`)
  })

  for (const { name, flood } of [
    { name: 'PING', flood: frame(PING, 0, 0, Buffer.alloc(8)) },
    { name: 'SETTINGS', flood: frame(SETTINGS, 0, 0) },
  ]) {
    it(`ends a connection with a flood of ${name}`, async () => {
      await using upstream = await silentUpstream()
      await using gateway = await gatewayTo(upstream)
      await using peer = await framePeer(gateway.port)
      peer.write(...Array.from({ length: 5000 }, () => flood))
      assert.equal(await peer.goneAway(), ENHANCE_YOUR_CALM)
      await peer.closed
      await gateway.log('request', { code: 'E_HTTP2_FLOOD', cause: 'PING and SETTINGS' })
    })
  }

  it('does not keep the answers to pings of a client that reads none', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.socket.pause()
    const pings = Buffer.concat(
      Array.from({ length: 10_000 }, () => frame(PING, 0, 0, Buffer.alloc(8))),
    )
    for (let round = 0; round < 50; round += 1) peer.write(pings)
    await gateway.log('request', { code: 'E_HTTP2_FLOOD' })
  })

  it('ends a connection with a head in endless CONTINUATIONs', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.write(frame(HEADERS, END_STREAM, 1, get('/')))
    const part = frame(CONTINUATION, 0, 1, fieldBlock([['x-part', 'x'.repeat(16_000)]]))
    for (let count = 0; count < 2000; count += 1) peer.write(part)
    await peer.goneAway()
    await peer.closed
    assert.equal(upstream.connections, 0)
  })

  it('ends a connection with a flood of CONTINUATIONs that hold nothing', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.write(frame(HEADERS, END_STREAM, 1, get('/')))
    peer.write(...Array.from({ length: 20_000 }, () => frame(CONTINUATION, 0, 1)))
    await peer.goneAway()
    await peer.closed
  })

  it('does not unpack a head that is small on the wire alone', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.write(...streams(50).map((id) => frame(HEADERS, END_HEADERS | END_STREAM, id, BOMB)))
    assert.equal(await peer.resetOf(99), ENHANCE_YOUR_CALM)
    assert.equal(upstream.connections, 0)
  })

  it('ends a connection with a flood of empty DATA', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    peer.write(frame(HEADERS, END_HEADERS, 1, get('/')))
    peer.write(...Array.from({ length: 20_000 }, () => frame(DATA, 0, 1)))
    await peer.goneAway()
    await peer.closed
  })

  it('lets nothing through that would mean another thing in HTTP/1.1', async () => {
    const heads: string[] = []
    await using upstream = await scriptedUpstream(async (connection) => {
      while (await connection.more()) {
        const { statusLine, lines } = await connection.head()
        heads.push([statusLine, ...lines].join('\n'))
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      }
    })
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    let id = -1
    const malformed: [string, string][] = [
      ['connection', 'close'],
      ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'close'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'websocket'],
      ['te', 'gzip'],
      ['X-Upper', 'a'],
      ['content-length', '5'],
      [':path', '/twice'],
    ]
    for (const field of malformed) {
      id += 2
      peer.write(frame(HEADERS, END_HEADERS | END_STREAM, id, get('/', field)))
      assert.equal(await peer.resetOf(id), PROTOCOL_ERROR, JSON.stringify(field))
    }
    for (const path of ['/a b', '/ HTTP/1.1\r\nx-smuggled: yes', 'http://other.test/', '']) {
      id += 2
      peer.write(frame(HEADERS, END_HEADERS | END_STREAM, id, get(path)))
      assert.equal(await peer.resetOf(id), PROTOCOL_ERROR, JSON.stringify(path))
    }
    assert.deepEqual(heads, [])
    // The library drops a field with bytes that none may have, and the request goes on without it.
    const broken: [string, string][] = [
      ['x-a', 'b\r\nx-smuggled: yes'],
      ['x-smuggled', 'b\0'],
      ['x-a: b\r\nx-smuggled', 'yes'],
    ]
    for (const field of broken) {
      id += 2
      peer.write(frame(HEADERS, END_HEADERS | END_STREAM, id, get('/', field)))
      const stream = id
      await peer.find((one) => one.type === HEADERS && one.stream === stream)
    }
    assert.equal(heads.length, 3)
    assert.doesNotMatch(heads.join(), /smuggled/)
  })

  it('resets a stream whose body is longer or shorter than it says', async () => {
    await using upstream = await silentUpstream()
    await using gateway = await gatewayTo(upstream)
    await using peer = await framePeer(gateway.port)
    const post = fieldBlock([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':authority', 'gateway.test'],
      [':path', '/'],
      ['content-length', '3'],
    ])
    peer.write(
      frame(HEADERS, END_HEADERS, 1, post),
      frame(DATA, END_STREAM, 1, Buffer.from('four')),
    )
    assert.equal(await peer.resetOf(1), PROTOCOL_ERROR)
    peer.write(frame(HEADERS, END_HEADERS, 3, post), frame(DATA, END_STREAM, 3, Buffer.from('2!')))
    assert.equal(await peer.resetOf(3), PROTOCOL_ERROR)
  })

  it('reads no more of an answer than it may hold for a stream whose window is shut', async () => {
    let sent = 0
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
      const chunk = Buffer.alloc(65_536)
      connection.socket.on('drain', fill)
      function fill(): void {
        do sent += chunk.length
        while (connection.socket.write(chunk))
      }
      fill()
    })
    await using gateway = await gatewayTo(upstream)
    // SETTINGS_INITIAL_WINDOW_SIZE 0
    await using peer = await framePeer(gateway.port, Buffer.from([0, 4, 0, 0, 0, 0]))
    peer.write(open(1))
    await peer.find(({ type, stream }) => type === HEADERS && stream === 1)
    // What the kernel takes on the way to the gateway is settled when nothing has moved for a while.
    for (let last = -1; last !== sent;) {
      last = sent
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    assert.ok(sent < 16 * MEBIBYTE, `${sent} bytes`)
    assert.equal(
      peer.frames.some(({ type, payload }) => type === DATA && payload.length > 0),
      false,
    )
    // The others are not held up.
    peer.write(frame(PING, 0, 0, Buffer.from('pingpong')))
    await peer.find(({ type, flags }) => type === PING && flags === ACK)
  })

  it('closes a connection without a request after headTimeout, and one without another after keepAliveTimeout', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    await using gateway = await gatewayTo(upstream, 'headTimeout: 200ms, keepAliveTimeout: 300ms')
    await using silent = await framePeer(gateway.port)
    await using unfinished = await framePeer(gateway.port)
    unfinished.write(frame(HEADERS, END_STREAM, 1, get('/')))
    await using asked = await framePeer(gateway.port)
    asked.write(open(1))
    await asked.find(({ type, flags }) => type === HEADERS && (flags & END_STREAM) !== 0)
    for (const peer of [silent, unfinished, asked]) {
      await peer.closed
      assert.equal(
        peer.frames.some(({ type }) => type === GOAWAY),
        true,
      )
    }
  })
})
