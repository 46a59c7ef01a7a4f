/** The recipes of README.md, read out of it, with the addresses and files of these tests in place of those that it names. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import type { IncomingHttpHeaders } from 'node:http2'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { WebSocket, type ClientOptions } from 'ws'
import { TestAuthority } from '../support/certificates.ts'
import { Crowd, CountingServers } from '../support/crowd.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { haproxy, startHaproxy } from '../support/haproxy.ts'
import { nginx, runNginx, type Nginx } from '../support/nginx.ts'
import { RawClient, rawClient } from '../support/raw-client.ts'
import { activate, letGo, listening } from '../support/activated-gateway.ts'
import { readReadme, recipesOf } from '../support/readme.ts'
import { secureServer } from '../support/secure-server.ts'
import { http2Client } from '../support/http2-client.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { socketIoServer, upgradedClient } from '../support/socket-io.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'

const recipes = recipesOf(readReadme())
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url))

type Replacements = readonly (readonly [written: string, here: string])[]

function recipeGateway(name: string, replacements: Replacements): Promise<TestGateway> {
  return startTestGateway(recipeYaml(name, replacements))
}

/** The config of a recipe. Each text to replace has to be in it, so that the recipe stays what is tested. */
function recipeYaml(name: string, replacements: Replacements): string {
  let yaml = recipes.get(name)
  assert.ok(yaml !== undefined, `README.md has no recipe ${name}`)
  for (const [written, here] of replacements) {
    assert.ok(yaml.includes(written), `the recipe ${name} holds no ${written}`)
    yaml = yaml.replace(written, here)
  }
  return yaml
}

/** What a WebSocket client gets in place of a 101. */
async function refusal(
  url: string,
  protocols: readonly string[] = [],
  options: ClientOptions = {},
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; body: string }> {
  const socket = new WebSocket(url, [...protocols], options)
  const [request, response] = (await once(socket, 'unexpected-response')) as [
    { destroy(): void },
    IncomingMessage,
  ]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  request.destroy()
  return { status: response.statusCode, headers: response.headers, body }
}

interface HttpServer extends AsyncDisposable {
  readonly url: string
}

async function httpServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<HttpServer> {
  const server = http.createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** A WebSocket server that keeps the heads of its handshakes, and echoes. */
async function headKeeper(): Promise<HttpServer & { readonly heads: IncomingMessage[] }> {
  const heads: IncomingMessage[] = []
  const server = await wsServer({}, (socket, request) => {
    heads.push(request)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  return {
    url: server.url,
    heads,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function echoes(client: Awaited<ReturnType<typeof wsClient>>, text: string): Promise<void> {
  client.socket.send(text)
  assert.equal((await client.message()).data.toString(), text)
}

describe('the config at the start of README.md', () => {
  it("'start' serves WebSocket clients below its path, and nothing else", async () => {
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('start', [['http://localhost:3000', upstream.url]])
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/ws/room?n=1`)
    await echoes(client, 'hello')
    assert.equal(upstream.heads[0]?.url, '/ws/room?n=1')
    const { status } = await refusal(`ws://127.0.0.1:${gateway.port}/elsewhere`)
    assert.equal(status, 404)
  })

  it("'smallest' serves everything", async () => {
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('smallest', [['http://localhost:3000', upstream.url]])
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    await echoes(client, 'hello')
  })
})

describe("the recipe 'socket-io'", () => {
  it('keeps each client of a balancer on one server, from polling to the upgrade', async () => {
    await using a = await socketIoServer()
    await using b = await socketIoServer()
    await using gateway = await recipeGateway('socket-io', [
      ['http://io-1:3000', a.url],
      ['http://io-2:3000', b.url],
      ['10.0.0.0/8', '127.0.0.1'],
    ])
    const clients = 12
    for (let index = 0; index < clients; index += 1) {
      const clientIp = `192.0.2.${index}`
      // As the balancer in front says it.
      const extraHeaders = { 'X-Forwarded-For': clientIp }
      await using client = await upgradedClient(gateway.port, { extraHeaders })
      assert.deepEqual(client.transports, ['polling', 'websocket'])
      assert.equal(await client.socket.emitWithAck('echo', clientIp), clientIp)
    }
    assert.equal(a.sessions + b.sessions, clients)
    assert.ok(a.sessions > 0 && b.sessions > 0, `${a.sessions} and ${b.sessions} sessions`)
    const failed = gateway.logs.filter((line) => line.msg === 'request' && line['status'] !== 200)
    assert.deepEqual(failed, [])
  })
})

function recipeNginx(gatewayPort: number): Promise<Nginx> {
  const config = readFileSync(join(fixtures, 'recipes/nginx.conf'), 'utf8')
  return runNginx((folder, port) =>
    config
      .replaceAll('FOLDER', folder)
      .replaceAll('PORT', String(port))
      .replaceAll('GATEWAY', String(gatewayPort)),
  )
}

describe("the recipe 'nginx'", { skip: nginx.skip }, () => {
  it('serves WebSocket clients of an nginx that strips the upgrade, and answers others 426', async () => {
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('nginx', [['http://localhost:3000', upstream.url]])
    await using front = await recipeNginx(gateway.port)
    await using client = await wsClient(`ws://127.0.0.1:${front.port}/room`)
    await echoes(client, 'through both')
    assert.equal(upstream.heads[0]?.headers.upgrade, 'websocket')
    const plain = await fetch(`http://127.0.0.1:${front.port}/room`)
    assert.equal(plain.status, 426)
    assert.match(await plain.text(), /E_UPGRADE_REQUIRED/)
  })
})

describe("the recipe 'proxy-protocol'", { skip: haproxy.skip }, () => {
  it('knows the clients of an HAProxy that passes TCP on, and serves nobody else', async () => {
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('proxy-protocol', [
      ['0.0.0.0:8080', '127.0.0.1:0'],
      ['10.0.0.5', '127.0.0.1'],
      ['http://localhost:3000', upstream.url],
    ])
    const server = gateway.port
    await using front = await startHaproxy({ mode: 'tcp', server, send: 'send-proxy-v2' })
    await using client = await wsClient(`ws://127.0.0.1:${front.port}/room`, [], {
      localAddress: '127.0.0.9',
    })
    await echoes(client, 'through both')
    assert.equal(upstream.heads[0]?.headers['x-forwarded-for'], '127.0.0.9')
    await using other = await rawClient(gateway.port)
    other.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal(await other.more(), false)
  })
})

describe("the recipe 'systemd'", () => {
  it('serves the sockets that it is passed', async () => {
    await using upstream = await headKeeper()
    const yaml = recipeYaml('systemd', [['http://localhost:3000', upstream.url]])
    const sockets = [
      await listening({ port: 0, host: '127.0.0.1' }),
      await listening({ port: 0, host: '127.0.0.1' }),
    ]
    const ports = sockets.map(({ server }) => (server.address() as AddressInfo).port)
    await using gateway = await activate(
      yaml,
      sockets.map(({ fd }) => fd),
      'web:local',
    )
    for (const { server } of sockets) await letGo(server)
    for (const port of ports) {
      await gateway.line(({ url }) => url === `http://127.0.0.1:${port}/`)
      await using client = await wsClient(`ws://127.0.0.1:${port}/`)
      await echoes(client, 'hello')
    }
  })
})

describe("the recipe 'forwarded'", () => {
  it('believes Forwarded of its proxy alone, and tells the upstream in both families', async () => {
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('forwarded', [
      ['10.0.0.5', '127.0.0.1'],
      ['http://localhost:3000', upstream.url],
    ])
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`, [], {
      headers: {
        Forwarded: 'proto=https;host="chat.test";by=10.0.0.5;for="[2001:db8::7]"',
        'X-Forwarded-For': '10.9.9.9',
      },
    })
    await echoes(client, 'hello')
    const { headers } = upstream.heads[0] as IncomingMessage
    assert.equal(
      headers['forwarded'],
      'for="[2001:db8::7]";by=10.0.0.5;host=chat.test;proto=https, for=127.0.0.1',
    )
    assert.equal(headers['x-forwarded-for'], '2001:db8::7, 127.0.0.1')
    assert.equal(headers['x-forwarded-proto'], 'https')
    assert.equal((await gateway.log('tunnel open'))['clientIp'], '2001:db8::7')
  })
})

const execBody = `{"Detach":false,"Tty":false,"ConsoleSize":null}`
const execStart = readFileSync(join(fixtures, 'recipes/exec-start.txt'), 'utf8')
  .replaceAll('\n', '\r\n')
  .replace(/Content-Length: \d+/, `Content-Length: ${execBody.length}`)

interface Engine extends AsyncDisposable {
  readonly path: string
}

/** A docker engine as far as its wire goes, on a unix socket. */
async function dockerEngine(script: (connection: RawClient) => Promise<void>): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-recipe-docker-'))
  const path = join(folder, 'docker.sock')
  const connections: RawClient[] = []
  const failures: unknown[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new RawClient(socket)
    connections.push(connection)
    script(connection).catch((error: unknown) => failures.push(error))
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    path,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const connection of connections) await connection[Symbol.asyncDispose]()
      await closed
      await rm(folder, { recursive: true })
      assert.deepEqual(failures, [])
    },
  }
}

/** The start of a frame of docker's stream: 1 is standard output. */
function frame(text: string): string {
  return `\x01\0\0\0\0\0\0${String.fromCharCode(text.length)}${text}`
}

function engineAddresses(engine: Engine): Replacements {
  return [
    ['127.0.0.1:2375', '127.0.0.1:0'],
    ['unix:/var/run/docker.sock', `unix:${engine.path}`],
  ]
}

describe("the recipe 'docker'", () => {
  it('passes the end of stdin of an exec on, and the output that follows it', async () => {
    await using engine = await dockerEngine(async (connection) => {
      const request = await connection.head()
      assert.equal(request.statusLine, 'POST /v1.51/exec/5d2ad3c4/start HTTP/1.1')
      assert.equal(request.fields.get('upgrade'), 'tcp')
      assert.equal(await connection.bytes(execBody.length), execBody)
      connection.write(
        'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
      )
      const stdin = await connection.rest()
      connection.write(frame(`${stdin.length} bytes`))
      connection.socket.end()
    })
    await using gateway = await recipeGateway('docker', engineAddresses(engine))
    await using client = await rawClient(gateway.port)
    client.write(execStart + execBody)
    const answer = await client.head()
    assert.equal(answer.statusLine, 'HTTP/1.1 101 UPGRADED')
    client.write('some input')
    client.socket.end()
    assert.equal(await client.rest(), frame('10 bytes'))
    const close = await gateway.log('tunnel close', { route: 'docker', protocol: 'tcp' })
    assert.equal(close['reason'], 'eof')
    assert.equal(close['by'], 'client')
    assert.equal(close['bytesUp'], 10)
  })

  it('upgrades BuildKit to h2c', async () => {
    await using engine = await dockerEngine(async (connection) => {
      assert.equal((await connection.head()).fields.get('upgrade'), 'h2c')
      connection.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      )
      connection.write(await connection.bytes(3))
    })
    await using gateway = await recipeGateway('docker', engineAddresses(engine))
    await using client = await rawClient(gateway.port)
    client.write('POST /grpc HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    assert.equal((await client.head()).status, 101)
    client.write('PRI')
    assert.equal(await client.bytes(3), 'PRI')
  })

  it('forwards plain requests of the API', async () => {
    await using engine = await dockerEngine(async (connection) => {
      assert.equal((await connection.head()).statusLine, 'GET /_ping HTTP/1.1')
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK')
    })
    await using gateway = await recipeGateway('docker', engineAddresses(engine))
    const response = await fetch(`http://127.0.0.1:${gateway.port}/_ping`)
    assert.equal(await response.text(), 'OK')
  })
})

/** As the recipe's provider makes it, unless `audience` or the key is another. */
function token(key: CryptoKey, audience = 'chat'): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'RS256', kid: 'own' })
    .setIssuer('https://idp.example.com/')
    .setAudience(audience)
    .setSubject('ada')
    .setExpirationTime('1h')
    .sign(key)
}

describe("the recipe 'jwt-cookie'", () => {
  it('lets in whoever has a right token in a cookie or a subprotocol, from the right page', async () => {
    const own = await generateKeyPair('RS256', { extractable: true })
    const foreign = await generateKeyPair('RS256')
    const keys = { keys: [{ ...(await exportJWK(own.publicKey)), kid: 'own', alg: 'RS256' }] }
    await using provider = await httpServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(keys))
    })
    const right = await token(own.privateKey)
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('jwt-cookie', [
      ['https://idp.example.com/.well-known/jwks.json', provider.url],
      ['http://localhost:3000', upstream.url],
    ])
    const url = `ws://127.0.0.1:${gateway.port}/ws`
    const origin = 'https://app.example.com'
    const withCookie = (session: string) => ({ origin, headers: { Cookie: `session=${session}` } })

    const missing = await refusal(url, [], { origin })
    assert.equal(missing.status, 401)
    assert.match(missing.headers['www-authenticate'] ?? '', /^Bearer /)
    assert.match(missing.body, /E_AUTH_MISSING/)
    for (const wrong of [await token(foreign.privateKey), await token(own.privateKey, 'other')]) {
      const { status, body } = await refusal(url, [], withCookie(wrong))
      assert.equal(status, 401)
      assert.match(body, /E_AUTH_INVALID/)
    }
    const elsewhere = { ...withCookie(right), origin: 'https://evil.example' }
    assert.equal((await refusal(url, [], elsewhere)).status, 403)
    assert.equal(upstream.heads.length, 0)

    await using byCookie = await wsClient(url, [], withCookie(right))
    await echoes(byCookie, 'hello')
    assert.equal(upstream.heads[0]?.headers['x-auth-user'], 'ada')
    await using bySubprotocol = await wsClient(url, ['bearer', right], { origin })
    assert.equal(bySubprotocol.socket.protocol, 'bearer')
    assert.equal(upstream.heads[1]?.headers['sec-websocket-protocol'], undefined)
    assert.equal((await gateway.log('tunnel open'))['user'], 'ada')
  })
})

describe("the recipe 'forward-auth'", () => {
  it('lets the auth server decide, and sends its redirect with all its cookies', async () => {
    const asked: IncomingMessage[] = []
    await using portal = await httpServer((request, response) => {
      asked.push(request)
      if (request.headers.cookie === 'session=good') {
        response.setHeader('X-Auth-Request-User', 'ada')
        response.setHeader('X-Auth-Request-Email', 'ada@example.com')
        response.writeHead(200).end()
      } else {
        response.setHeader('Set-Cookie', ['state=1; Path=/', 'csrf=2; Path=/'])
        response.writeHead(302, 'Found', { Location: 'https://auth/login' }).end('Log in first.')
      }
    })
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('forward-auth', [
      ['http://auth:4181', portal.url],
      ['http://localhost:3000', upstream.url],
    ])
    const url = `ws://127.0.0.1:${gateway.port}/room?n=1`

    const denied = await refusal(url)
    assert.equal(denied.status, 302)
    assert.equal(denied.headers.location, 'https://auth/login')
    assert.deepEqual(denied.headers['set-cookie'], ['state=1; Path=/', 'csrf=2; Path=/'])
    assert.equal(denied.body, 'Log in first.')
    assert.equal(upstream.heads.length, 0)

    await using client = await wsClient(url, [], {
      headers: { Cookie: 'session=good', 'X-Auth-Request-User': 'root', 'X-Auth-User': 'root' },
    })
    await echoes(client, 'hello')
    const [question] = asked
    assert.equal(question?.url, '/verify')
    assert.equal(question?.headers['x-forwarded-uri'], '/room?n=1')
    assert.equal(question?.headers['x-forwarded-method'], 'GET')
    assert.equal(question?.headers['x-real-ip'], '127.0.0.1')
    const head = upstream.heads[0]?.headers
    assert.equal(head?.['x-auth-request-user'], 'ada')
    assert.equal(head?.['x-auth-request-email'], 'ada@example.com')
    assert.equal(head?.['x-auth-user'], 'ada')
  })
})

describe("the recipe 'sessions'", () => {
  it('closes each tunnel when what let it in ends, and tells the page', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
    const keys = { keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256' }] }
    let loggedIn = true
    await using provider = await httpServer((_, response) => response.end(JSON.stringify(keys)))
    await using portal = await httpServer((_, response) =>
      response.writeHead(loggedIn ? 200 : 401).end(),
    )
    await using files = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'upgate-recipe-sessions-'))
    files.defer(() => rm(folder, { recursive: true }))
    const users = join(folder, 'users.htpasswd')
    // Of `password`.
    await writeFile(users, 'ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n')
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('sessions', [
      ['https://idp.example.com/.well-known/jwks.json', provider.url],
      ['./users.htpasswd', users],
      ['http://auth:4181', portal.url],
      ['recheck: 1m', 'recheck: 1s'],
      ['http://localhost:3000', upstream.url],
      ['http://localhost:3000', upstream.url],
      ['http://localhost:3000', upstream.url],
    ])
    const session = await new SignJWT({})
      .setProtectedHeader({ alg: 'RS256' })
      .setExpirationTime('2s')
      .sign(privateKey)
    const url = `ws://127.0.0.1:${gateway.port}`
    const basic = Buffer.from('ann:password').toString('base64')
    const open = (path: string, headers: Record<string, string>) =>
      wsClient(url + path, [], { headers })
    await using chat = await open('/chat', { Cookie: `session=${session}` })
    await using admin = await open('/admin', { Authorization: `Basic ${basic}` })
    await using desk = await open('/', {})
    for (const client of [chat, admin, desk]) await echoes(client, 'hello')
    await writeFile(users, '')
    loggedIn = false
    const codes = [chat, admin, desk].map(async (client) => (await client.closed()).code)
    assert.deepEqual(await Promise.all(codes), [4401, 1008, 1008])
    for (const route of ['route-1', 'route-2', 'route-3']) {
      await gateway.log('tunnel close', { route, by: 'gateway', reason: 'expired' })
    }
  })
})

describe("the recipe 'deploys'", () => {
  it('closes tunnels one by one, and tells clients when to come back', async () => {
    await using server = await wsServer()
    await using gateway = await recipeGateway('deploys', [
      ['drain: 5m', 'drain: 500ms'],
      ['http://localhost:3000', server.url],
    ])
    await using crowd = await Crowd.open(`ws://127.0.0.1:${gateway.port}/`, 10)
    await gateway.gateway.stop()
    await crowd.gone()
    assert.equal(crowd.closings.length, 10)
    const told = new Set(crowd.closings.map(({ code, reason }) => `${code} ${reason}`))
    assert.deepEqual([...told], ['1012 restarting; retry after 10s'])
    const times = crowd.closings.map(({ atMs }) => atMs)
    assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 250, String(times))
  })
})

describe("the recipe 'rebalance'", () => {
  it('brings tunnels to the endpoint that is new', async () => {
    await using servers = await CountingServers.start(3)
    const [one = '', two = '', three = ''] = servers.urls
    const known: Replacements = [
      ['http://chat-1:3000', one],
      ['http://chat-2:3000', two],
    ]
    await using gateway = await recipeGateway('rebalance', [
      ...known,
      [', "http://chat-3:3000"', ''],
    ])
    const url = `ws://127.0.0.1:${gateway.port}/`
    await using crowd = await Crowd.open(url, 12, { backAfterMs: 50 })
    assert.deepEqual(servers.open, [6, 6, 0])
    await gateway.reload(recipeYaml('rebalance', [...known, ['http://chat-3:3000', three]]))
    await servers.until((open) => open.every((count) => count === 4))
    assert.equal(crowd.closings.length, 4)
    assert.ok(crowd.closings.every(({ code }) => code === 1012))
  })
})

describe("the recipe 'reload'", () => {
  it('takes a changed file into use by itself, and closes the tunnels that it has no place for, or keeps them', async () => {
    await using chat = await headKeeper()
    await using shell = await headKeeper()
    const yaml = recipeYaml('reload', [
      ['http://localhost:3000', chat.url],
      ['http://localhost:4000', shell.url],
    ])
    await using gateway = await startTestGateway(yaml)
    await using closed = await wsClient(`ws://127.0.0.1:${gateway.port}/chat`)
    await using kept = await wsClient(`ws://127.0.0.1:${gateway.port}/shell`)
    await gateway.rewrite(
      `reload: { watch: true }\nroutes: [{ match: { path: /new }, upstream: "${chat.url}" }]`,
    )
    await gateway.log('config reloaded', { cause: 'file', closed: 1 })
    const { code } = await closed.closed()
    assert.equal(code, 1012)
    await echoes(kept, 'hello')
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/new`)
    await echoes(client, 'hello')
  })
})

describe("the recipe 'tls'", () => {
  it('serves wss to clients that trust its issuer, and tells the upstream so', async () => {
    const ca = readFileSync(join(fixtures, 'tls/ca.pem'))
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('tls', [
      ['0.0.0.0:8443', '127.0.0.1:0'],
      ['./tls/cert.pem', join(fixtures, 'tls/cert.pem')],
      ['./tls/key.pem', join(fixtures, 'tls/key.pem')],
      ['http://localhost:3000', upstream.url],
    ])
    await using client = await wsClient(`wss://localhost:${gateway.port}/`, [], { ca })
    await echoes(client, 'hello')
    assert.equal(upstream.heads[0]?.headers['x-forwarded-proto'], 'https')
    const stranger = new WebSocket(`wss://localhost:${gateway.port}/`)
    const [error] = (await once(stranger, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  })
})

describe("the recipe 'http2'", () => {
  it('serves WebSockets over HTTP/2, with TLS and without', async () => {
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('http2', [
      ['0.0.0.0:8443', '127.0.0.1:0'],
      ['127.0.0.1:8080', '127.0.0.1:0'],
      ['./tls/cert.pem', join(fixtures, 'tls/cert.pem')],
      ['./tls/key.pem', join(fixtures, 'tls/key.pem')],
      ['http://localhost:3000', upstream.url],
    ])
    const [secure, plain] = gateway.gateway.addresses.map((address) =>
      address.kind === 'tcp' ? address.port : 0,
    )
    for (const origin of [`https://localhost:${secure}`, `http://localhost:${plain}`]) {
      const ca = readFileSync(join(fixtures, 'tls/ca.pem'))
      await using client = await http2Client(origin, { ca })
      const stream = client.connect('/chat')
      const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
      assert.equal(headers[':status'], 200)
    }
    assert.deepEqual(
      upstream.heads.map((head) => head.headers['x-forwarded-proto']),
      ['https', 'http'],
    )
  })
})

describe("the recipe 'http2-endpoint'", () => {
  it('sends tunnels and requests over connections that they share', async () => {
    const tls = {
      cert: readFileSync(join(fixtures, 'tls/cert.pem')),
      key: readFileSync(join(fixtures, 'tls/key.pem')),
    }
    await using secure = await http2Endpoint({ tls })
    await using plain = await http2Endpoint()
    const yaml = recipeYaml('http2-endpoint', [
      ['https://app-1.example:8443', secure.url],
      ['http://app-2.example:8080', plain.url],
      ['http2Streams: 100', `tls: { ca: "${join(fixtures, 'tls/ca.pem')}" }`],
    ])
    await using gateway = await startTestGateway(yaml)
    await using one = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    await using two = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    for (const client of [one, two]) await echoes(client, 'hello')
    for (const path of ['/a', '/b']) {
      const response = await fetch(`http://127.0.0.1:${gateway.port}${path}`)
      assert.equal(await response.text(), path)
    }
    for (const { sessions, streams } of [secure, plain]) {
      assert.deepEqual([sessions.length, streams.length], [1, 2])
    }
  })
})

describe("the recipe 'tls-names'", () => {
  it('shows each client the certificate of its name, and strangers none', async () => {
    await using upstream = await headKeeper()
    await using authority = await TestAuthority.create()
    const files: Record<string, string> = {}
    for (const [name, names, keyType] of [
      ['chat', 'DNS:chat.test', 'ec'],
      ['chat-rsa', 'DNS:chat.test', 'rsa'],
      ['wildcard', 'DNS:*.chat.test', 'ec'],
    ] as const) {
      const { cert, key } = await authority.issue({ names: [names], keyType })
      files[`${name}.pem`] = cert
      files[`${name}-key.pem`] = key
    }
    const yaml = recipeYaml('tls-names', [
      ['0.0.0.0:8443', '127.0.0.1:0'],
      ['http://localhost:3000', upstream.url],
    ]).replaceAll('./tls/', './')
    await using gateway = await startTestGateway(yaml, files)
    const ca = await authority.cert
    for (const servername of ['chat.test', 'a.chat.test']) {
      const options = { ca, servername } as ClientOptions
      await using client = await wsClient(`wss://localhost:${gateway.port}/`, [], options)
      await echoes(client, 'hello')
    }
    const options = { ca, servername: 'other.test' } as ClientOptions
    const stranger = new WebSocket(`wss://localhost:${gateway.port}/`, options)
    const [error] = (await once(stranger, 'error')) as [Error]
    assert.match(error.message, /unrecognized name/)
  })
})

describe("the recipe 'redirect'", () => {
  it('sends clients from http to https, and asks them to stay there', async () => {
    const ca = readFileSync(join(fixtures, 'tls/ca.pem'))
    await using upstream = await headKeeper()
    await using gateway = await recipeGateway('redirect', [
      ['0.0.0.0:80', '127.0.0.1:0'],
      ['0.0.0.0:443', '127.0.0.1:0'],
      ['./tls/cert.pem', join(fixtures, 'tls/cert.pem')],
      ['./tls/key.pem', join(fixtures, 'tls/key.pem')],
      ['http://localhost:3000', upstream.url],
    ])
    const { status, headers } = await refusal(`ws://localhost:${gateway.port}/ws?a=1`)
    assert.deepEqual([status, headers.location], [308, 'https://localhost/ws?a=1'])
    const [, secure] = gateway.gateway.addresses
    assert.ok(secure?.kind === 'tcp')
    await using client = await wsClient(`wss://localhost:${secure.port}/ws`, [], { ca })
    await echoes(client, 'hello')
  })
})

describe("the recipe 'client-certificates'", () => {
  it('lets devices in by their names, and everybody elsewhere', async () => {
    await using devices = await headKeeper()
    await using others = await headKeeper()
    await using authority = await TestAuthority.create()
    const gate = await authority.issue({ names: ['DNS:localhost'] })
    const device = await authority.issue({ names: ['URI:spiffe://example.com/device/7'] })
    const ca = await authority.cert
    const yaml = recipeYaml('client-certificates', [
      ['0.0.0.0:8443', '127.0.0.1:0'],
      ['http://localhost:3000', devices.url],
      ['http://localhost:3001', others.url],
    ]).replaceAll('./tls/', './')
    await using gateway = await startTestGateway(yaml, {
      'cert.pem': gate.cert,
      'key.pem': gate.key,
      'clients-ca.pem': ca,
      'clients-crl.pem': await authority.revoke(),
    })
    const url = `wss://localhost:${gateway.port}`
    await using client = await wsClient(`${url}/devices`, [], { ca, ...device })
    await echoes(client, 'hello')
    const { headers } = devices.heads[0] ?? {}
    assert.equal(headers?.['x-auth-user'], 'spiffe://example.com/device/7')
    assert.match(String(headers?.['x-forwarded-client-cert']), /;URI=spiffe:.*device\/7$/)
    assert.equal((await refusal(`${url}/devices`, [], { ca })).status, 401)
    assert.equal((await refusal(`${url}/devices`, [], { ca, ...gate })).status, 403)
    await using other = await wsClient(url, [], { ca })
    await echoes(other, 'hello')
  })
})

describe("the recipe 'tls-endpoints'", () => {
  it('shows a certificate to endpoints that ask, and resumes sessions with them', async () => {
    const ask = { requestCert: true, ca: readFileSync(join(fixtures, 'tls/ca.pem')) }
    await using one = await secureServer(ask)
    await using two = await secureServer(ask)
    await using gateway = await recipeGateway('tls-endpoints', [
      ['https://10.0.0.5:8443', one.url],
      ['https://10.0.0.6:8443', two.url],
      ['./tls/ca.pem', join(fixtures, 'tls/ca.pem')],
      ['chat.internal', 'localhost'],
      ['./tls/client.pem', join(fixtures, 'tls/cert.pem')],
      ['./tls/client-key.pem', join(fixtures, 'tls/key.pem')],
    ])
    for (let round = 0; round < 4; round += 1) {
      await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
      await echoes(client, 'hello')
    }
    for (const { subjects, reused } of [one, two]) {
      assert.deepEqual(subjects, ['localhost', 'localhost'])
      assert.deepEqual(reused, [false, true])
    }
  })
})
