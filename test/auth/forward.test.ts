import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createForwardCheck } from '../../src/auth/forward.ts'
import type { Recheck } from '../../src/auth/grant.ts'
import type { Check, Identity } from '../../src/auth/identity.ts'
import type { ForwardAuthConfig } from '../../src/config/config.ts'
import { Refusal, type Answer } from '../../src/errors.ts'
import { serverAgent } from '../../src/http/server-agent.ts'
import { fakeFacts, fieldLines } from './fake-facts.ts'
import { closedUrl, httpFixture, rawFixture } from './http-fixture.ts'

const TWO_FRAMINGS =
  'HTTP/1.1 403 No\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n'

function open(url: string, changes: Partial<ForwardAuthConfig> = {}): Check & Disposable {
  const config: ForwardAuthConfig = {
    name: 'portal',
    type: 'forward',
    url,
    copy: [],
    timeoutMs: 10_000,
    userHeader: undefined,
    recheckMs: Infinity,
    onRecheckError: 'keep',
    ...changes,
  }
  const check = createForwardCheck(config, serverAgent)
  return Object.assign(check, { [Symbol.dispose]: () => check.close() })
}

async function identityOf(check: Check): Promise<Identity> {
  const outcome = await check.check(fakeFacts())
  assert.ok(!(outcome instanceof Refusal))
  return outcome
}

async function recheckOf(check: Check, fields: readonly string[] = []): Promise<Recheck> {
  const outcome = await check.check(fakeFacts({ fields }))
  assert.ok(!(outcome instanceof Refusal))
  const recheck = outcome.grants[0]?.recheck
  assert.ok(recheck !== undefined)
  return recheck
}

/** The empty body of the yes has been read too, so the connection waits for the next question. */
async function identityThenFree(check: Check): Promise<void> {
  await identityOf(check)
  await setImmediate()
}

async function refusalOf(check: Check): Promise<Refusal> {
  const outcome = await check.check(fakeFacts())
  assert.ok(outcome instanceof Refusal)
  return outcome
}

async function answerOf(check: Check): Promise<Answer> {
  const refusal = await refusalOf(check)
  assert.equal(refusal.code, 'E_FORWARD_DENIED')
  const { answer } = refusal.details
  assert.ok(answer !== undefined)
  return answer
}

describe('forward auth', () => {
  it('asks with a GET for the configured URL, with facts and credentials', async () => {
    await using server = await httpFixture((_, response) => response.end())
    using check = open(`${server.url}/verify?for=chat`)
    const fields = ['Host', 'chat.example.com', 'Cookie', 'a=1', 'Upgrade', 'websocket']
    await check.check(fakeFacts({ method: 'POST', fields }))
    const [request] = server.requests
    assert.equal(request?.method, 'GET')
    assert.equal(request?.url, '/verify?for=chat')
    assert.deepEqual(request?.headers, {
      host: new URL(server.url).host,
      connection: 'keep-alive',
      cookie: 'a=1',
      'x-forwarded-method': 'POST',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'chat.example.com',
      'x-forwarded-port': '443',
      'x-forwarded-uri': '/ws',
      'x-forwarded-for': '192.0.2.7',
      'x-original-method': 'POST',
      'x-original-uri': '/ws',
      'x-original-url': 'https://chat.example.com/ws',
      'x-real-ip': '192.0.2.7',
      'x-request-id': 'request-1',
      traceparent: '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01',
    })
  })

  it('passes for any 2xx, with all values of the copied fields and the user', async () => {
    await using server = await httpFixture((_, response) => {
      const fields = ['X-Group', 'a', 'x-group', 'b', 'X-User', 'J\xc3\xb6rg', 'X-Else', 'c']
      response.writeHead(299, fields).end('ok')
    })
    using check = open(server.url, {
      copy: ['X-Group', 'X-Role', 'Connection'],
      userHeader: 'X-User',
    })
    assert.deepEqual(
      { ...(await identityOf(check)), grants: [] },
      {
        user: 'Jörg',
        fields: ['X-Group', 'a', 'x-group', 'b'],
        hiddenQuery: [],
        hiddenSubprotocols: [],
        markerSubprotocol: undefined,
        grants: [],
      },
    )
    assert.deepEqual(check.ownFields, ['x-group', 'x-role', 'connection', 'x-user', 'x-auth-user'])
  })

  const users: readonly (readonly [name: string, fields: string[], user: string | undefined])[] = [
    ['in Latin-1', ['X-User', 'J\xf6rg'], 'Jörg'],
    ['empty', ['X-User', ''], undefined],
    ['not there', [], undefined],
    ['with encoded control characters', ['X-User', 'a\xc2\x85b'], undefined],
  ]
  for (const [name, fields, user] of users) {
    it(`reads a user that is ${name}`, async () => {
      await using server = await httpFixture((_, response) => response.writeHead(200, fields).end())
      using check = open(server.url, { userHeader: 'X-User' })
      assert.equal((await identityOf(check)).user, user)
    })
  }

  it('asks the next question over the same connection', async () => {
    await using server = await httpFixture((_, response) => response.writeHead(204).end())
    using check = open(server.url)
    for (let index = 0; index < 5; index += 1) await identityThenFree(check)
    assert.equal(server.connections.length, 1)
  })

  it('cuts the body of a yes off when it is endless', async () => {
    const closed = Promise.withResolvers<void>()
    await using server = await httpFixture((_, response) => {
      response.on('close', closed.resolve)
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
      }
      response.on('drain', more)
      more()
    })
    using check = open(server.url)
    await identityOf(check)
    await closed.promise
  })

  it('cuts the body of a yes off when it does not end in time', async () => {
    const closed = Promise.withResolvers<void>()
    await using server = await httpFixture((_, response) => {
      response.on('close', closed.resolve)
      response.write('x')
    })
    using check = open(server.url, { timeoutMs: 50 })
    await identityOf(check)
    await closed.promise
  })

  it('hands a redirect with its cookies on as it is, without following it', async () => {
    await using server = await httpFixture((_, response) => {
      const fields = ['Location', 'https://login/', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2']
      const hop = ['Connection', 'close, X-Hop', 'X-Hop', '1', 'Content-Length', '5', 'Date', 'now']
      response.writeHead(302, 'Go There', [...fields, ...hop]).end('login')
    })
    using check = open(server.url)
    const answer = await answerOf(check)
    assert.deepEqual([answer.status, answer.reason], [302, 'Go There'])
    assert.deepEqual(fieldLines(answer.fields), [
      'Location: https://login/',
      'Set-Cookie: a=1',
      'set-cookie: b=2',
      'Date: now',
      'Content-Length: 5',
    ])
    assert.equal(String(answer.body), 'login')
    assert.equal(server.requests.length, 1)
  })

  for (const status of [304, 401, 403, 404, 500, 503]) {
    it(`hands a ${status} on`, async () => {
      await using server = await httpFixture((_, response) => {
        response.writeHead(status, { 'WWW-Authenticate': 'Portal' }).end()
      })
      using check = open(server.url)
      const refusal = await refusalOf(check)
      assert.equal(refusal.code, 'E_FORWARD_DENIED')
      assert.equal(refusal.status, status)
      assert.deepEqual(refusal.details.answer?.fields.slice(0, 2), ['WWW-Authenticate', 'Portal'])
    })
  }

  it('drops the chunked coding of an answer, and hands its content on', async () => {
    await using server = await httpFixture((_, response) => {
      response.writeHead(403, ['Date', 'now'])
      response.write('no')
      response.end(' way')
    })
    using check = open(server.url)
    const answer = await answerOf(check)
    assert.deepEqual(answer.fields, ['Date', 'now', 'Content-Length', '6'])
    assert.equal(String(answer.body), 'no way')
  })

  it('leaves a body out that is longer than 64 KiB, and frees its connection', async () => {
    const closed = Promise.withResolvers<void>()
    await using server = await httpFixture((_, response) => {
      response.on('close', closed.resolve)
      response.writeHead(403, ['X-Why', 'long'])
      response.write(Buffer.alloc(3 * 1024 * 1024))
    })
    using check = open(server.url)
    const answer = await answerOf(check)
    assert.deepEqual([answer.status, answer.body.length], [403, 0])
    assert.deepEqual(answer.fields.slice(0, 2), ['X-Why', 'long'])
    assert.deepEqual(answer.fields.slice(-2), ['Content-Length', '0'])
    await closed.promise
  })

  it('leaves a body out that does not end in time', async () => {
    await using server = await httpFixture((_, response) => {
      response.writeHead(403).write('x')
    })
    using check = open(server.url, { timeoutMs: 100 })
    const answer = await answerOf(check)
    assert.deepEqual([answer.status, answer.body.length], [403, 0])
  })

  it('leaves a body out that breaks off', async () => {
    await using server = await rawFixture((socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nsome')
    })
    using check = open(server.url)
    const answer = await answerOf(check)
    assert.deepEqual([answer.status, answer.body.length], [403, 0])
  })

  it('lets one client have an eighth of the questions that may be under way', async () => {
    const release = Promise.withResolvers<void>()
    await using server = await httpFixture((_, response) => {
      void release.promise.then(() => response.writeHead(204).end())
    })
    using check = open(server.url)
    const ask = async (clientIp: string) => check.check(fakeFacts({ clientIp }))
    const asked = Array.from({ length: 256 }, () => ask('192.0.2.1'))
    const refused = await ask('192.0.2.1')
    assert.ok(refused instanceof Refusal)
    assert.equal(refused.code, 'E_AUTH_BUSY')
    const other = ask('192.0.2.2')
    release.resolve()
    assert.ok(!((await other) instanceof Refusal))
    for (const outcome of await Promise.all(asked)) assert.ok(!(outcome instanceof Refusal))
  })

  it('lets one client have an eighth of the connections, and others the rest', async () => {
    const held: ServerResponse[] = []
    const enough = Promise.withResolvers<void>()
    await using server = await httpFixture((request, response) => {
      if (request.headers['x-real-ip'] !== '192.0.2.1') {
        response.writeHead(204).end()
        return
      }
      held.push(response)
      if (held.length === 64) enough.resolve()
    })
    using check = open(server.url)
    const ask = async (clientIp: string) => check.check(fakeFacts({ clientIp }))
    const asked = Array.from({ length: 100 }, () => ask('192.0.2.1'))
    await enough.promise
    assert.ok(!((await ask('192.0.2.2')) instanceof Refusal))
    assert.equal(held.length, 64)
    for (let index = 0; index < 100; index += 1) {
      while (held[index] === undefined) await setImmediate()
      held[index]?.writeHead(204).end()
    }
    for (const outcome of await Promise.all(asked)) assert.ok(!(outcome instanceof Refusal))
  })

  it('counts the connection of a yes for its client until the body has ended', async () => {
    const held: ServerResponse[] = []
    await using server = await httpFixture((_, response) => {
      held.push(response)
      response.writeHead(200).write('some')
    })
    using check = open(server.url)
    for (let index = 0; index < 64; index += 1) await identityOf(check)
    const next = identityOf(check)
    await check.check(fakeFacts({ clientIp: '192.0.2.99' }))
    assert.equal(held.length, 65)
    held[0]?.end()
    await next
    assert.equal(held.length, 66)
  })

  it('counts the wait for a turn as time of the question', async () => {
    await using server = await httpFixture(() => {})
    using check = open(server.url, { timeoutMs: 100 })
    const asked = Array.from({ length: 65 }, () => refusalOf(check))
    const codes = new Set((await Promise.all(asked)).map(({ code }) => code))
    assert.deepEqual([...codes], ['E_AUTH_TIMEOUT'])
  })

  const unfit: readonly (readonly [name: string, head: string])[] = [
    ['a status below 100', 'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['the status 000', 'HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['a control character in its reason', 'HTTP/1.1 403 a\x01b\r\nContent-Length: 0\r\n\r\n'],
    ['two framings', TWO_FRAMINGS],
  ]
  for (const [name, head] of unfit) {
    it(`is not available when it denies with ${name}`, async () => {
      await using server = await rawFixture((socket) => socket.end(head, 'latin1'))
      using check = open(server.url)
      assert.equal((await refusalOf(check)).code, 'E_AUTH_UNAVAILABLE')
    })
  }

  it('drops what a denial announces of trailers', async () => {
    for (const head of ['HTTP/1.1 304 Not', 'HTTP/1.0 403 No', 'HTTP/1.1 403 No']) {
      await using server = await rawFixture((socket) => {
        socket.end(`${head}\r\nTrailer: A\r\nConnection: close\r\n\r\n`)
      })
      using check = open(server.url)
      const { fields } = await answerOf(check)
      assert.deepEqual(fields, ['Content-Length', '0'])
    }
  })

  it('times out when the server hangs', async () => {
    for (const start of ['', 'HTTP/1.1 200 OK\r\nX-Slow: ', 'HTTP/1.1 100 Continue\r\n\r\n']) {
      await using server = await rawFixture((socket) => socket.write(start))
      using check = open(server.url, { timeoutMs: 50 })
      const refusal = await refusalOf(check)
      assert.equal(refusal.code, 'E_AUTH_TIMEOUT')
      assert.equal(refusal.details.cause, 'portal: no answer within 50 ms')
    }
  })

  const broken: readonly (readonly [name: string, bytes: string])[] = [
    ['closes without an answer', ''],
    ['dies in the middle of its head', 'HTTP/1.1 200 OK\r\nX-User: ro'],
    ['speaks something else', 'SSH-2.0-x\r\n'],
    ['sends a head of more than 32 KiB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(33_000)}\r\n\r\n`],
    ['sends two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['sends a length and a coding', TWO_FRAMINGS.replace('403', '200')],
    ['sends a status below 100', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
    ['sends lines that end in CRLF and in LF', 'HTTP/1.1 200 OK\r\nA: b\nX-User: ro\r\n\r\n'],
    ['sends a field with a NUL', 'HTTP/1.1 200 OK\r\nX-User: a\0b\r\n\r\n'],
    [
      'switches protocols',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    ],
  ]
  for (const [name, bytes] of broken) {
    it(`lets nobody in when the server ${name}`, async () => {
      await using server = await rawFixture((socket) => socket.end(bytes))
      using check = open(server.url, { userHeader: 'X-User' })
      assert.equal((await refusalOf(check)).code, 'E_AUTH_UNAVAILABLE')
      assert.equal(server.connections.length, 1)
    })
  }

  it('lets nobody in when the server is not there', async () => {
    using check = open(await closedUrl())
    const refusal = await refusalOf(check)
    assert.equal(refusal.code, 'E_AUTH_UNAVAILABLE')
    assert.match(refusal.details.cause ?? '', /^portal: connect ECONNREFUSED/)
  })

  it('lets nobody in when an https server speaks http', async () => {
    await using server = await httpFixture((_, response) => response.end())
    using check = open(server.url.replace('http:', 'https:'))
    assert.equal((await refusalOf(check)).code, 'E_AUTH_UNAVAILABLE')
  })

  it('reads all of very many fields', async () => {
    const many = Array.from({ length: 2500 }, (_, index) => `a${index}: 1\r\n`).join('')
    await using server = await rawFixture((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${many}X-User: ann\r\nContent-Length: 0\r\n\r\n`)
    })
    using check = open(server.url, { userHeader: 'X-User' })
    assert.equal((await identityOf(check)).user, 'ann')
  })

  it('asks again over a fresh connection when a kept one turns out to be dead', async () => {
    const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
    const turns: number[] = []
    await using server = await rawFixture((socket, turn) => {
      turns.push(turn)
      if (turns.length === 2) socket.resetAndDestroy()
      else socket.write(ok)
    })
    using check = open(server.url)
    await identityThenFree(check)
    await identityOf(check)
    assert.deepEqual(turns, [0, 0, 1])
  })

  it('asks again only once', async () => {
    const turns: number[] = []
    await using server = await rawFixture((socket, turn) => {
      turns.push(turn)
      if (turns.length > 1) socket.resetAndDestroy()
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    using check = open(server.url)
    await identityThenFree(check)
    assert.equal((await refusalOf(check)).code, 'E_AUTH_UNAVAILABLE')
    assert.deepEqual(turns, [0, 0, 1])
  })

  it('closes idle connections at its end, and finishes questions that are under way', async () => {
    const answer = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    await using server = await httpFixture((_, response) => {
      if (server.requests.length === 1) return void response.end()
      asked.resolve()
      void answer.promise.then(() => response.end())
    })
    const check = open(server.url)
    await identityThenFree(check)
    const pending = [identityOf(check), identityOf(check)]
    await asked.promise
    check.close()
    const ends = server.connections.map((socket) => once(socket, 'close'))
    answer.resolve()
    await Promise.all(pending)
    await Promise.all(ends)
  })

  it('closes a connection that is idle when it ends', async () => {
    await using server = await httpFixture((_, response) => response.end())
    const check = open(server.url)
    await identityThenFree(check)
    const closed = once(server.connections[0] as NodeJS.EventEmitter, 'close')
    check.close()
    await closed
  })

  it('gives a grant without an end, and without a question where none shall be asked', async () => {
    await using server = await httpFixture((_, response) => response.end())
    using check = open(server.url)
    const [grant] = (await identityOf(check)).grants
    assert.deepEqual(
      [grant?.check, grant?.user, grant?.expiresAtMs, grant?.recheck],
      ['portal', undefined, undefined, undefined],
    )
  })

  it('asks the same question again', async () => {
    await using server = await httpFixture((_, response) => response.end('yes'))
    using check = open(server.url, { recheckMs: 60_000, onRecheckError: 'close' })
    const fields = ['Cookie', 'a=1', 'X-Empty', '', 'Cookie', 'b=2']
    const recheck = await recheckOf(check, fields)
    assert.deepEqual([recheck.everyMs, recheck.onError], [60_000, 'close'])
    for (let turn = 0; turn < 2; turn += 1) {
      // The body before has been read, so that its connection is free.
      await setImmediate()
      assert.deepEqual(await recheck.ask(), { is: 'holds' })
    }
    const [first, ...others] = server.requests.map(({ rawHeaders }) => rawHeaders)
    assert.ok(first?.includes('b=2'))
    assert.deepEqual(others, [first, first])
    assert.equal(server.connections.length, 1)
  })

  const standings: readonly (readonly [status: number, is: string])[] = [
    [204, 'holds'],
    [302, 'ended'],
    [401, 'ended'],
    [403, 'ended'],
    [404, 'ended'],
    [408, 'unknown'],
    [429, 'unknown'],
    [500, 'unknown'],
    [503, 'unknown'],
  ]
  for (const [status, is] of standings) {
    it(`takes a later ${status} for: ${is}`, async () => {
      await using server = await httpFixture((_, response) => {
        response.writeHead(server.requests.length === 1 ? 200 : status).end()
      })
      using check = open(server.url, { recheckMs: 1000 })
      const cause = `portal: the authorization server answered ${status}`
      const standing = await (await recheckOf(check)).ask()
      assert.deepEqual(standing, is === 'unknown' ? { is, cause } : { is })
    })
  }

  it('does not know when the server answers too late, or is not there any more', async () => {
    let recheck: Recheck | undefined
    using stack = new DisposableStack()
    {
      await using server = await httpFixture((_, response) => {
        if (server.requests.length === 1) response.end()
      })
      const check = stack.use(open(server.url, { recheckMs: 1000, timeoutMs: 200 }))
      recheck = await recheckOf(check)
      const late = { is: 'unknown', cause: 'portal: no answer within 200 ms' }
      assert.deepEqual(await recheck.ask(), late)
    }
    const down = await recheck.ask()
    assert.match(down.is === 'unknown' ? down.cause : '', /^portal: connect ECONNREFUSED/)
  })

  it('asks for tunnels that stay after it was closed', async () => {
    await using server = await httpFixture((_, response) => response.end())
    using check = open(server.url, { recheckMs: 1000 })
    const recheck = await recheckOf(check)
    check.close()
    assert.deepEqual(await recheck.ask(), { is: 'holds' })
  })

  it('renews the grants that it gave itself, and no others', async () => {
    await using server = await httpFixture((_, response) => response.end())
    using check = open(server.url)
    using other = open(server.url)
    const [grant] = (await identityOf(check)).grants
    assert.ok(grant !== undefined)
    assert.equal(check.renew(grant), grant)
    assert.equal(other.renew(grant), undefined)
  })
})
