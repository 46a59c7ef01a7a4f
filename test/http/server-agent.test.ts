import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Agent } from 'node:http'
import { describe, it } from 'node:test'
import { ask, bodyOf, type Reply, type ServerAgent } from '../../src/auth/ask.ts'
import { serverAgent } from '../../src/http/server-agent.ts'
import { httpFixture, rawFixture } from '../auth/http-fixture.ts'
import { secureServer } from '../support/secure-server.ts'

const LIMITS = { connectionsMax: 4, idleMax: 2, connectTimeoutMs: 5000 }

function agentOf(url: string): ServerAgent & Disposable {
  const agent = serverAgent(new URL(url), LIMITS)
  return Object.assign(agent, { [Symbol.dispose]: () => agent.close() })
}

function question(agent: ServerAgent, url: string): Promise<Reply> {
  return ask({ url: new URL(url), agent, fields: ['Host', 'a'], timeoutMs: 5000 })
}

async function textOf(reply: Reply): Promise<string> {
  assert.equal(reply.kind, 'answered')
  return String(await bodyOf(reply.response, 1000, 5000))
}

describe('the agent of a server that checks ask', () => {
  it('reads what the server says as responses of endpoints are read', async () => {
    await using server = await rawFixture((socket) => {
      socket.end('HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 2, 2\n\nok')
    })
    using agent = agentOf(server.url)
    const reply = await question(agent, server.url)
    assert.ok(reply.kind === 'answered')
    assert.deepEqual(reply.response.rawHeaders, ['A', 'b c', 'Content-Length', '2'])
    assert.equal(await textOf(reply), 'ok')
  })

  it('asks by the path and the query of the URL', async () => {
    await using server = await httpFixture((request, response) => response.end(request.url))
    using agent = agentOf(server.url)
    assert.equal(await textOf(await question(agent, `${server.url}/a/b?c=d`)), '/a/b?c=d')
  })

  it('checks the certificate of a server with TLS', async () => {
    await using server = await secureServer()
    using agent = agentOf(server.url)
    const reply = await question(agent, server.url)
    assert.ok(reply.kind === 'failed')
    assert.match(reply.cause, /certificate/)
    assert.equal(reply.own, undefined)
  })

  it('speaks TLS to a server whose certificate Node is told to take', async () => {
    await using server = await secureServer()
    const variable = 'NODE_TLS_REJECT_UNAUTHORIZED'
    process.env[variable] = '0'
    using agent = agentOf(server.url)
    delete process.env[variable]
    assert.equal(await textOf(await question(agent, server.url)), 'ok')
  })

  it('does not use a connection again that the server has ended', async () => {
    await using server = await httpFixture((_, response) => response.end('ok'))
    using agent = agentOf(server.url)
    for (const count of [1, 2]) {
      assert.equal(await textOf(await question(agent, server.url)), 'ok')
      assert.equal(server.connections.length, count)
      const [idle] = await idleOf(agent)
      server.connections[count - 1]?.end()
      await once(idle as NodeJS.EventEmitter, 'close')
    }
  })
})

/** The idle connections, once there is one. */
async function idleOf(agent: Agent): Promise<readonly object[]> {
  for (;;) {
    const idle = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? [])
    if (idle.length > 0) return idle
    await new Promise(setImmediate)
  }
}
