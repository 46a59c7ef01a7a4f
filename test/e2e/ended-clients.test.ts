/** How real clients learn that the gateway has ended their tunnel. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SignJWT } from 'jose'
import { Chromium } from '../support/chromium.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { findProgram, findPython, RunningProgram } from '../support/programs.ts'

interface Seen {
  readonly code: number
  readonly reason: string
  /** Milliseconds since 1970. */
  readonly atMs: number
}

/** A client with an open WebSocket. */
interface OpenClient extends AsyncDisposable {
  closed(): Promise<Seen>
  /** Its process stops, and its sockets say nothing more. Undefined for one of many processes. */
  readonly freeze?: () => void
}

interface ClientProgram {
  readonly name: string
  readonly skip: string | false
  readonly open: (gateway: TestGateway, target: string) => Promise<OpenClient>
}

const python = findPython('websockets', 'python3-websockets')
const chromium = findProgram('chromium')
const WAIT = fileURLToPath(new URL('../fixtures/e2e/websocket_wait.py', import.meta.url))

const clients: readonly ClientProgram[] = [
  {
    name: 'Python',
    skip: python.skip,
    async open({ port }, target) {
      const program = new RunningProgram(python.path, [WAIT, `ws://127.0.0.1:${port}${target}`])
      await program.output(/^open$/m)
      return {
        async closed() {
          const [, seen = ''] = await program.output(/^closed (.*)$/m)
          return JSON.parse(seen) as Seen
        },
        freeze: () => void program.child.kill('SIGSTOP'),
        [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
      }
    },
  },
  {
    name: 'Chromium',
    skip: chromium.skip,
    async open({ port }, target) {
      const browser = await Chromium.start(chromium.path)
      const page = await browser.page()
      await page.evaluate(`new Promise((resolve, reject) => {
        const socket = new WebSocket('ws://127.0.0.1:${port}${target}')
        window.ended = new Promise((told) => {
          socket.onclose = ({ code, reason }) => told({ code, reason, atMs: Date.now() })
        })
        socket.onopen = () => socket.send('hello')
        socket.onmessage = resolve
        socket.onerror = () => reject(new Error('it does not open'))
      }).then(() => true)`)
      return {
        closed: async () => (await page.evaluate('window.ended')) as Seen,
        [Symbol.asyncDispose]: () => browser[Symbol.asyncDispose](),
      }
    },
  },
]

const SECRET = 'a secret of thirty-two characters'

function token(expSeconds: number): Promise<string> {
  return new SignJWT({ sub: 'ann' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(expSeconds)
    .sign(new TextEncoder().encode(SECRET))
}

for (const { name, skip, open } of clients) {
  describe(`a ${name} client`, { skip }, () => {
    it('sees 1001 when the gateway stops', async () => {
      await using gateway = await startTestGateway(`
shutdown: { drain: 100ms }
routes: [{ upstream: builtin:echo }]
`)
      await using client = await open(gateway, '/')
      await gateway.gateway.stop()
      const { code, reason } = await client.closed()
      assert.deepEqual([code, reason], [1001, 'going away'])
      const line = await gateway.log('tunnel close')
      assert.equal(line['reason'], 'drain')
      assert.equal(line['wsCloseCode'], 1001)
      assert.equal(line['wsCloseBy'], 'gateway')
    })

    it('sees 1008 within a second of the end of its token', async (test) => {
      await using gateway = await startTestGateway(`
auth:
  people: { type: jwt, from: [query:token], secret: "${SECRET}", clockTolerance: 0s }
routes: [{ auth: [people], upstream: builtin:echo }]
`)
      const expSeconds = Math.floor(Date.now() / 1000) + 4
      await using client = await open(gateway, `/?token=${await token(expSeconds)}`)
      const { code, reason, atMs } = await client.closed()
      assert.deepEqual([code, reason], [1008, 'credentials expired'])
      const lateMs = atMs - expSeconds * 1000
      test.diagnostic(`told ${lateMs.toFixed(0)} ms after the end of its token`)
      assert.ok(lateMs >= 0 && lateMs < 1000, `${lateMs} ms`)
    })

    it('sees the code and the words of an operator who closes it', async () => {
      await using gateway = await startTestGateway(
        'routes: [{ name: chat, upstream: builtin:echo }]',
      )
      await using client = await open(gateway, '/')
      const response = await fetch(
        `http://127.0.0.1:${gateway.adminPort}/api/tunnels?route=chat&code=4321&reason=lunch`,
        { method: 'DELETE' },
      )
      assert.equal(response.status, 202)
      const { code, reason } = await client.closed()
      assert.deepEqual([code, reason], [4321, 'lunch'])
      const line = await gateway.log('tunnel close')
      assert.deepEqual([line['by'], line['reason']], ['admin', 'kill'])
    })

    it('stays through reloads that change other routes', async () => {
      const config = (turn: number): string => `
routes:
  - { name: "other-${turn}", match: { path: /other }, upstream: "http://127.0.0.1:${turn + 1}" }
  - { name: chat, upstream: builtin:echo }
`
      await using gateway = await startTestGateway(config(0))
      await using client = await open(gateway, '/')
      for (let turn = 1; turn <= 10; turn += 1) {
        const { ok, changes } = await gateway.reload(config(turn))
        assert.ok(ok && changes.length > 0)
      }
      assert.equal(gateway.gateway.openTunnels, 1)
      assert.ok(gateway.logs.every(({ msg }) => msg !== 'tunnel close'))
      const stopped = gateway.gateway.destroy()
      await client.closed()
      await stopped
    })

    it('sees 1001 when it was idle for too long', async () => {
      await using gateway = await startTestGateway(
        'routes: [{ upstream: builtin:echo, timeouts: { idle: 300ms } }]',
      )
      await using client = await open(gateway, '/')
      const { code, reason } = await client.closed()
      assert.deepEqual([code, reason], [1001, 'idle for too long'])
    })
  })
}

describe('a Python client whose machine vanishes', { skip: python.skip }, () => {
  it('is found when it has not answered a ping in time', async (test) => {
    const [ping, timeout] = [200, 300]
    await using gateway = await startTestGateway(`
routes: [{ upstream: builtin:echo, keepalive: { ping: ${ping}ms, timeout: ${timeout}ms } }]
`)
    await using client = await (clients[0] as ClientProgram).open(gateway, '/')
    const startMs = performance.now()
    client.freeze?.()
    const line = await gateway.log('tunnel close')
    const foundMs = performance.now() - startMs
    assert.deepEqual([line['by'], line['reason']], ['gateway', 'dead'])
    test.diagnostic(
      `found after ${foundMs.toFixed(0)} ms, where both together are ${ping + timeout}`,
    )
    assert.ok(foundMs < ping + timeout + 1500)
  })
})
