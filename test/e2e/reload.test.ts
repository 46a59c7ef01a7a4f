import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { handshake, rawClient, type RawClient } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const TCP = 'HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

/** Grants every upgrade to tcp, and sends back what it gets. Plain requests are answered with `name`. */
function echoing(name = 'plain'): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    const { fields } = await connection.head()
    if (!fields.has('upgrade')) {
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`)
      return
    }
    connection.write(TCP)
    connection.socket.on('data', (chunk: Buffer) => connection.socket.write(chunk))
    connection.socket.on('end', () => connection.socket.end())
  })
}

function askTcp(path: string, lines: readonly string[] = []): string {
  const head = [`GET ${path} HTTP/1.1`, 'Host: a', 'Connection: Upgrade', 'Upgrade: tcp', ...lines]
  return [...head, '\r\n'].join('\r\n')
}

async function openTunnel(
  { port }: { readonly port: number },
  path = '/',
  lines: readonly string[] = [],
): Promise<RawClient> {
  const client = await rawClient(port)
  client.write(askTcp(path, lines))
  assert.equal((await client.head()).status, 101)
  return client
}

async function statusOf(gateway: TestGateway, request: string): Promise<number> {
  await using client = await rawClient(gateway.port)
  client.write(request)
  return (await client.head()).status
}

async function isAlive(client: RawClient): Promise<void> {
  client.write('ping')
  assert.equal(await client.bytes(4), 'ping')
}

/** The gateway has ended it; the client ends it too. */
async function isClosed(gateway: TestGateway, client: RawClient, route: string): Promise<void> {
  assert.equal(await client.rest(), '')
  client.socket.end()
  const close = await gateway.log('tunnel close', { route })
  assert.deepEqual([close['by'], close['reason']], ['gateway', 'reload'])
}

function routeTo(name: string, upstream: ScriptedUpstream, more = ''): string {
  return `  - { name: ${name}, match: { path: /${name} }, upgrade: [tcp], upstream: "${upstream.url}"${more} }\n`
}

function keysFile(keys: Readonly<Record<string, string>>): string {
  return Object.entries(keys)
    .map(([name, key]) => `${name}:${createHash('sha256').update(key).digest('hex')}\n`)
    .join('')
}

describe('a reload', () => {
  it('serves the routes of the new config, and no others', async () => {
    await using one = await echoing('one')
    await using two = await echoing('two')
    await using gateway = await startTestGateway(
      `routes:\n${routeTo('a', one)}${routeTo('b', one)}`,
    )
    const result = await gateway.reload(`routes:\n${routeTo('b', two)}${routeTo('c', two)}`)
    assert.deepEqual([result.ok, result.dryRun, result.problems], [true, false, []])
    assert.ok(result.changes.includes('route a: removed'), result.changes.join('\n'))
    assert.ok(result.changes.includes('route c: added'), result.changes.join('\n'))
    assert.equal(await statusOf(gateway, askTcp('/a')), 404)
    for (const path of ['b', 'c']) {
      const answer = await fetch(`http://127.0.0.1:${gateway.port}/${path}`)
      assert.equal(await answer.text(), 'two')
    }
    const { changes, closed } = await gateway.log('config reloaded', { cause: 'api' })
    assert.deepEqual([changes, closed], [result.changes.length, 0])
    assert.equal(await gateway.metric('upgate_config_reloads_total', { result: 'ok' }), 1)
  })

  it('says what has changed, which is nothing for the same file', async () => {
    await using upstream = await echoing()
    const yaml = `routes:\n${routeTo('a', upstream)}`
    await using gateway = await startTestGateway(yaml)
    assert.deepEqual((await gateway.reload(yaml)).changes, [])
  })

  it('closes the tunnels of a route and of an endpoint that are gone, and leaves the others alone', async () => {
    await using one = await echoing()
    await using two = await echoing()
    await using gateway = await startTestGateway(
      `routes:\n${routeTo('gone', one)}${routeTo('moved', one)}${routeTo('same', one)}`,
    )
    await using gone = await openTunnel(gateway, '/gone')
    await using moved = await openTunnel(gateway, '/moved')
    await using same = await openTunnel(gateway, '/same')
    const result = await gateway.reload(
      `shutdown: { drain: 50ms }\nroutes:\n${routeTo('moved', two)}${routeTo('same', one)}`,
    )
    assert.deepEqual(
      [result.closing, result.closingByRoute, result.kept],
      [2, { gone: 1, moved: 1 }, 0],
    )
    await isClosed(gateway, gone, 'gone')
    await isClosed(gateway, moved, 'moved')
    await isAlive(same)
    assert.equal(gateway.gateway.openTunnels, 1)
  })

  it('keeps tunnels without a place where their route says so: the new one, or the old one when it is gone', async () => {
    await using one = await echoing()
    await using two = await echoing()
    await using gateway = await startTestGateway(
      `routes:\n${routeTo('gone', one, ', onReload: keep')}${routeTo('moved', one)}`,
    )
    await using gone = await openTunnel(gateway, '/gone')
    await using moved = await openTunnel(gateway, '/moved')
    const yaml = `routes:\n${routeTo('moved', two, ', onReload: keep')}`
    const result = await gateway.reload(yaml)
    assert.deepEqual([result.closing, result.kept], [0, 2])
    await isAlive(gone)
    await isAlive(moved)
    const again = await gateway.reload(yaml)
    assert.deepEqual([again.closing, again.kept], [0, 2])
    await isAlive(gone)
  })

  it('spares a tunnel that has its place back before its turn to be closed comes', async () => {
    await using upstream = await echoing()
    const yaml = `routes:\n${routeTo('here', upstream)}${routeTo('there', upstream)}`
    await using gateway = await startTestGateway(yaml)
    const clients: RawClient[] = []
    for (let index = 0; index < 4; index += 1) clients.push(await openTunnel(gateway, '/there'))
    assert.equal((await gateway.reload(`routes:\n${routeTo('here', upstream)}`)).closing, 4)
    // The first one goes at once, and the others by and by.
    await Promise.race(clients.map((client) => client.gone()))
    const result = await gateway.reload(yaml)
    assert.equal(result.closing, 0)
    const open = clients.filter(({ socket }) => !socket.readableEnded)
    assert.equal(open.length, 3)
    for (const client of open) await isAlive(client)
    for (const client of clients) await client[Symbol.asyncDispose]()
  })

  it('ends a tunnel whose route went away during its handshake', async () => {
    const asked = Promise.withResolvers<void>()
    const told = Promise.withResolvers<void>()
    await using slow = await scriptedUpstream(async (connection) => {
      await connection.head()
      asked.resolve()
      await told.promise
      connection.write(TCP)
      await connection.rest()
      connection.socket.end()
    })
    await using gateway = await startTestGateway(
      `routes:\n${routeTo('a', slow)}${routeTo('b', slow)}`,
    )
    await using client = await rawClient(gateway.port)
    client.write(askTcp('/a'))
    await asked.promise
    await gateway.reload(`routes:\n${routeTo('b', slow)}`)
    told.resolve()
    assert.equal((await client.head()).status, 101)
    await isClosed(gateway, client, 'a')
  })

  it('answers a plain request that was under way, though its route is gone', async () => {
    const asked = Promise.withResolvers<void>()
    const told = Promise.withResolvers<void>()
    await using slow = await scriptedUpstream(async (connection) => {
      await connection.head()
      asked.resolve()
      await told.promise
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone')
    })
    await using gateway = await startTestGateway(
      `routes:\n${routeTo('a', slow)}${routeTo('b', slow)}`,
    )
    await using client = await rawClient(gateway.port)
    client.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\n')
    await asked.promise
    await gateway.reload(`routes:\n${routeTo('b', slow)}`)
    told.resolve()
    assert.equal((await client.answer()).body, 'done')
    client.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.answer()).status, 404)
  })

  it('counts open tunnels on: for the limits of their route, and for the balance of their endpoints', async () => {
    await using one = await echoing()
    await using two = await echoing()
    const yaml = (tunnels: number): string =>
      `routes: [{ name: a, upgrade: [tcp], limits: { tunnels: ${tunnels} }, upstream: ["${one.url}", "${two.url}"] }]`
    await using gateway = await startTestGateway(yaml(2))
    await using _first = await openTunnel(gateway)
    await gateway.reload(yaml(2))
    await using _second = await openTunnel(gateway)
    assert.deepEqual([one.connections, two.connections], [1, 1])
    assert.equal(await statusOf(gateway, askTcp('/')), 503)
    await gateway.reload(yaml(3))
    await using _third = await openTunnel(gateway)
    await gateway.reload(yaml(1))
    assert.equal(await statusOf(gateway, askTcp('/')), 503)
    assert.equal(gateway.gateway.openTunnels, 3)
  })

  it('counts the tunnels of a route that was away for a while', async () => {
    await using upstream = await echoing()
    const limits = ', onReload: keep, limits: { tunnels: 1 }'
    const yaml = `routes:\n${routeTo('a', upstream, limits)}`
    await using gateway = await startTestGateway(yaml)
    await using _kept = await openTunnel(gateway, '/a')
    await gateway.reload(`routes:\n${routeTo('b', upstream)}`)
    await gateway.reload(`routes:\n${routeTo('c', upstream)}`)
    await gateway.reload(yaml)
    assert.equal(await statusOf(gateway, askTcp('/a')), 503)
  })

  it('keeps an endpoint set aside', async () => {
    await using dead = await scriptedUpstream((connection) => {
      connection.socket.destroy()
    })
    await using well = await echoing()
    const yaml = `upstreams: { u: { endpoints: ["${dead.url}", "${well.url}"], balance: round-robin } }\nroutes: [{ upgrade: [tcp], upstream: u }]`
    await using gateway = await startTestGateway(yaml)
    while (dead.connections === 0) await (await openTunnel(gateway))[Symbol.asyncDispose]()
    await gateway.log('endpoint down')
    await gateway.reload(`${yaml}\nlog: { level: debug }`)
    for (let turn = 0; turn < 4; turn += 1) {
      await (await openTunnel(gateway))[Symbol.asyncDispose]()
    }
    assert.equal(dead.connections, 1)
  })

  it('asks for credentials as the new config does, also of those who are in', async () => {
    await using upstream = await echoing()
    const yaml = (auth: string, more = ''): string =>
      `auth:\n  robots: { type: apiKey, header: X-Api-Key, keys: ./keys.txt }\n  others: { type: apiKey, header: X-Other, keys: ./others.txt }\nroutes:\n${routeTo('a', upstream, `, auth: [${auth}]${more}`)}`
    const files = { 'keys.txt': keysFile({ r2: 'beep' }), 'others.txt': keysFile({ x: 'other' }) }
    await using gateway = await startTestGateway(yaml('robots'), files)
    await using client = await openTunnel(gateway, '/a', ['X-Api-Key: beep'])
    assert.equal((await gateway.reload(yaml('robots', ', timeouts: { idle: 5m }'))).closing, 0)
    await isAlive(client)
    const changed = await gateway.reload(yaml('others'))
    assert.deepEqual(changed.closingByRoute, { a: 1 })
    await isClosed(gateway, client, 'a')
    assert.equal(await statusOf(gateway, askTcp('/a', ['X-Api-Key: beep'])), 401)
    await using _other = await openTunnel(gateway, '/a', ['X-Other: other'])
  })

  for (const [what, more] of [
    ['address', ', allow: [192.0.2.0/24]'],
    ['origin', ', origins: ["https://other.example.com"]'],
  ] as const) {
    it(`closes tunnels of clients whose ${what} is not allowed any more`, async () => {
      await using upstream = await echoing()
      await using gateway = await startTestGateway(`routes:\n${routeTo('a', upstream)}`)
      await using client = await openTunnel(gateway, '/a', ['Origin: https://app.example.com'])
      const { closing } = await gateway.reload(`routes:\n${routeTo('a', upstream, more)}`)
      assert.equal(closing, 1)
      await isClosed(gateway, client, 'a')
    })
  }

  it('changes nothing for a file that is wrong, and says why', async () => {
    await using upstream = await echoing()
    await using gateway = await startTestGateway(`routes:\n${routeTo('a', upstream)}`)
    await using client = await openTunnel(gateway, '/a')
    const result = await gateway.reload(`routes:\n${routeTo('a', upstream)}\nrotes: []`)
    assert.equal(result.ok, false)
    assert.match(result.problems.join('\n'), /upgate\.yaml:\d+:\d+: rotes: /)
    assert.deepEqual([result.changes, result.closing], [[], 0])
    const line = await gateway.log('config not reloaded, the old one stays in use')
    assert.deepEqual([line['level'], line['cause']], ['error', 'api'])
    assert.match(String(line['problems']), /rotes/)
    assert.equal(await gateway.metric('upgate_config_reloads_total', { result: 'failed' }), 1)
    assert.equal(await gateway.metric('upgate_config_last_reload_successful'), 0)
    await isAlive(client)
    await using _another = await openTunnel(gateway, '/a')
    assert.equal((await gateway.reload(`routes:\n${routeTo('b', upstream)}`)).ok, true)
    assert.equal(await gateway.metric('upgate_config_last_reload_successful'), 1)
  })

  it('changes nothing when a file that the config names is wrong', async () => {
    await using upstream = await echoing()
    await using gateway = await startTestGateway(`routes:\n${routeTo('a', upstream)}`)
    const auth = 'auth: { robots: { type: apiKey, header: X-Api-Key, keys: ./keys.txt } }\n'
    const yaml = `${auth}routes:\n${routeTo('b', upstream, ', auth: [robots]')}`
    const result = await gateway.reload(yaml, { 'keys.txt': 'nonsense' })
    assert.equal(result.ok, false)
    assert.match(result.problems.join('\n'), /keys\.txt/)
    assert.equal(await statusOf(gateway, askTcp('/b')), 404)
    await using _client = await openTunnel(gateway, '/a')
  })

  it('only says what it would do in a dry run, also of a file that is wrong', async () => {
    await using upstream = await echoing()
    await using gateway = await startTestGateway(`routes:\n${routeTo('a', upstream)}`)
    await using client = await openTunnel(gateway, '/a')
    await gateway.rewrite(
      `listeners: [{ address: "127.0.0.1:0" }, { address: "127.0.0.1:0" }]\nroutes:\n${routeTo('b', upstream)}`,
    )
    const result = await gateway.gateway.reloadFile('api', { dryRun: true })
    assert.deepEqual(
      [result.ok, result.dryRun, result.closing, result.closingByRoute],
      [true, true, 1, { a: 1 }],
    )
    assert.ok(result.changes.includes('route a: removed'), result.changes.join('\n'))
    await gateway.rewrite('nonsense: true')
    const wrong = await gateway.gateway.reloadFile('api', { dryRun: true })
    assert.deepEqual([wrong.ok, wrong.dryRun], [false, true])
    assert.match(wrong.problems.join('\n'), /nonsense/)
    await isAlive(client)
    await using _another = await openTunnel(gateway, '/a')
    assert.equal(gateway.gateway.addresses.length, 1)
    assert.equal(await gateway.metric('upgate_config_reloads_total'), 0)
    assert.ok(!gateway.logs.some(({ msg }) => msg.startsWith('config ')))
  })

  it('runs one after the other, and makes one of several that wait', async () => {
    await using upstream = await echoing()
    await using gateway = await startTestGateway(`routes:\n${routeTo('a', upstream)}`)
    await gateway.rewrite(`routes:\n${routeTo('b', upstream)}`)
    const results = await Promise.all(
      Array.from({ length: 10 }, () => gateway.gateway.reloadFile('signal')),
    )
    assert.ok(results.every(({ ok }) => ok))
    assert.equal(await gateway.metric('upgate_config_reloads_total', { result: 'ok' }), 1)
    assert.equal(await statusOf(gateway, askTcp('/b')), 101)
  })

  it('is refused while the gateway drains', async () => {
    await using upstream = await echoing()
    await using gateway = await startTestGateway(
      `shutdown: { spread: false }\nroutes:\n${routeTo('a', upstream)}`,
    )
    await using client = await openTunnel(gateway, '/a')
    const stopped = gateway.gateway.stop()
    const result = await gateway.reload(`routes:\n${routeTo('b', upstream)}`)
    assert.deepEqual([result.ok, result.problems], [false, ['the gateway is shutting down']])
    await isAlive(client)
    client.socket.end()
    await stopped
  })

  it('says which keys need a restart, and leaves what they say as it was', async () => {
    await using upstream = await echoing()
    const yaml = `routes:\n${routeTo('a', upstream)}`
    await using gateway = await startTestGateway(yaml)
    const result = await gateway.reload(`${yaml}\nrelay: { bufferBytes: 128KiB }`)
    assert.deepEqual([result.ok, result.needsRestart], [true, ['relay.bufferBytes']])
    await gateway.log('config keys need a restart')
    const again = await gateway.reload(`${yaml}\nrelay: { bufferBytes: 128KiB }`)
    assert.deepEqual(again.needsRestart, ['relay.bufferBytes'])
  })

  it('changes the level of the log', async () => {
    await using upstream = await echoing()
    const yaml = `routes:\n${routeTo('a', upstream)}`
    await using gateway = await startTestGateway(`${yaml}\nlog: { level: error }`)
    await statusOf(gateway, askTcp('/a'))
    await gateway.reload(yaml)
    await gateway.log('config reloaded')
    await statusOf(gateway, askTcp('/a'))
    await gateway.log('tunnel open')
    await gateway.reload(`${yaml}\nlog: { level: error }`)
    await statusOf(gateway, askTcp('/a'))
    assert.equal(gateway.logs.filter(({ msg }) => msg === 'tunnel open').length, 1)
  })

  it('shows the series of new routes and endpoints, and not those that are gone', async () => {
    await using one = await echoing()
    await using two = await echoing()
    await using gateway = await startTestGateway(`routes:\n${routeTo('a', one)}`)
    await gateway.reload(`routes:\n${routeTo('b', two)}`)
    const text = await gateway.metrics()
    assert.match(text, /upgate_tunnels_open\{route="b"/)
    assert.match(text, new RegExp(`upgate_endpoint_up\\{[^}]*${two.url}`))
    assert.doesNotMatch(text, new RegExp(`upgate_endpoint_up\\{[^}]*${one.url}`))
    assert.doesNotMatch(text, /upgate_tunnels_open\{route="a"/)
  })

  it('starts the built-in echo where only the new config has it', async () => {
    await using upstream = await echoing()
    await using gateway = await startTestGateway(`routes:\n${routeTo('a', upstream)}`)
    await gateway.reload('routes: [{ upstream: "builtin:echo" }]')
    assert.equal(await statusOf(gateway, handshake()), 101)
  })

  it('loses no byte of a tunnel and refuses nobody, fifty times in a row', async () => {
    await using upstream = await echoing()
    const yaml = (turn: number): string =>
      `routes:\n${routeTo(`other-${turn}`, upstream)}${routeTo('same', upstream, `, timeouts: { idle: ${turn + 60}s }`)}`
    await using gateway = await startTestGateway(yaml(0))
    await using client = await openTunnel(gateway, '/same')
    const over = new AbortController()
    let sent = 0
    const digests = { sent: createHash('sha256'), received: createHash('sha256') }
    const traffic = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const chunk = Buffer.alloc(16_384, sent)
        digests.sent.update(chunk)
        client.write(chunk)
        sent += chunk.length
        digests.received.update(Buffer.from(await client.bytes(chunk.length), 'latin1'))
      }
    }
    const newcomers = async (): Promise<void> => {
      while (!over.signal.aborted) assert.equal(await statusOf(gateway, askTcp('/same')), 101)
    }
    const reloads = async (): Promise<void> => {
      for (let turn = 1; turn <= 50; turn += 1) {
        const { ok, closing } = await gateway.reload(yaml(turn))
        assert.deepEqual([ok, closing], [true, 0])
      }
      over.abort()
    }
    await Promise.all([traffic(), newcomers(), reloads()])
    assert.ok(sent > 0)
    assert.equal(digests.received.digest('hex'), digests.sent.digest('hex'))
    client.socket.end()
    assert.equal(await client.rest(), '')
    const close = await gateway.log('tunnel close', { bytesUp: sent })
    assert.deepEqual([close['by'], close['reason'], close['bytesDown']], ['client', 'eof', sent])
  })
})

describe('a route without a name that another one is put in front of', () => {
  const inPlace = (path: string, upstream: ScriptedUpstream, more = ''): string =>
    `  - { match: { path: ${path} }, upgrade: [tcp], upstream: "${upstream.url}"${more} }\n`

  it('keeps its tunnels and their counts, under its new label', async () => {
    await using one = await echoing()
    await using two = await echoing()
    const route = inPlace('/a', one, ', limits: { tunnels: 1 }')
    await using gateway = await startTestGateway(`routes:\n${route}`)
    const bytes = (label: string): Promise<number> =>
      gateway.metric('upgate_tunnel_bytes_total', { route: label, direction: 'up' })
    await using client = await openTunnel(gateway, '/a')
    await isAlive(client)
    const { endpoint } = await gateway.log('tunnel open')
    const inUse = { route: 'route-2', upstream: 'route-2', endpoint: String(endpoint) }

    const result = await gateway.reload(`routes:\n${inPlace('/b', two)}${route}`)
    assert.deepEqual(result.changes, ['upstream route-1: added', 'route route-1: added'])
    assert.deepEqual([result.closing, result.kept], [0, 0])
    await isAlive(client)
    await isAlive(client)
    assert.equal(await gateway.metric('upgate_tunnels_open', inUse), 1)
    assert.equal(await gateway.metric('upgate_tunnels_open'), 1)
    assert.deepEqual([await bytes('route-1'), await bytes('route-2')], [4, 8])
    assert.equal(await statusOf(gateway, askTcp('/a')), 503)
    await using other = await openTunnel(gateway, '/b')
    await isAlive(other)
    assert.deepEqual([await bytes('route-1'), await bytes('route-2')], [8, 8])

    client.socket.end()
    await client.rest()
    const { route: label, bytesUp } = await gateway.log('tunnel close')
    assert.deepEqual([label, bytesUp], ['route-2', 12])
    assert.equal(await gateway.metric('upgate_tunnels_open'), 1)
    assert.deepEqual([await bytes('route-1'), await bytes('route-2')], [8, 8])
  })

  it('is another one with another upstream: its tunnels are closed', async () => {
    await using one = await echoing()
    await using two = await echoing()
    await using gateway = await startTestGateway(`routes:\n${inPlace('/a', one)}`)
    await using client = await openTunnel(gateway, '/a')
    const yaml = `shutdown: { drain: 50ms }\nroutes:\n${inPlace('/b', one)}${inPlace('/a', two)}`
    const result = await gateway.reload(yaml)
    assert.deepEqual(result.closingByRoute, { 'route-1': 1 })
    await isClosed(gateway, client, 'route-1')
  })
})

describe('the config of a process', () => {
  it('is read again at SIGHUP', async () => {
    await using upstream = await echoing()
    await using gateway = await startGatewayProcess(`routes:\n${routeTo('a', upstream)}`)
    await using client = await openTunnel(gateway, '/a')
    await gateway.rewrite(`routes:\n${routeTo('a', upstream)}${routeTo('b', upstream)}`)
    gateway.program.child.kill('SIGHUP')
    const [reloaded] = await gateway.log('config reloaded', 1)
    assert.deepEqual([reloaded?.['cause'], reloaded?.['closed']], ['signal', 0])
    await using _added = await openTunnel(gateway, '/b')
    await gateway.rewrite('nonsense: true')
    gateway.program.child.kill('SIGHUP')
    await gateway.log('config not reloaded, the old one stays in use', 1)
    await isAlive(client)
  })

  it('is read again when the file changes, where it says so, and not before it is whole', async () => {
    await using upstream = await echoing()
    const yaml = (name: string): string =>
      `reload: { watch: true }\nroutes:\n${routeTo(name, upstream)}`
    await using gateway = await startGatewayProcess(yaml('a'))
    await gateway.rewrite(yaml('b'))
    const [reloaded] = await gateway.log('config reloaded', 1)
    assert.equal(reloaded?.['cause'], 'file')
    await using _client = await openTunnel(gateway, '/b')
    assert.deepEqual(gateway.logged('config not reloaded, the old one stays in use'), [])
  })
})
