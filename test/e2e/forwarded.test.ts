/** Forwarded (RFC 7239) and X-Forwarded-*, as upstreams, auth servers and limits get to see them, behind real proxies too. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import net from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Chromium } from '../support/chromium.ts'
import { freePort } from '../support/free-port.ts'
import { nginx, startNginx, type Nginx } from '../support/nginx.ts'
import { startTestGateway } from '../support/gateway.ts'
import { findProgram, RunningProgram } from '../support/programs.ts'
import {
  handshake,
  rawClient,
  RawClient,
  SWITCHING,
  type RawAnswer,
} from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'
import { wsServer } from '../support/ws-server.ts'

const haproxy = findProgram('haproxy')

const chromium = findProgram('chromium')

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1')

/** The proxies are at 127.0.0.1; clients come from elsewhere. */
const TRUST = 'trustedProxies: ["127.0.0.1"]'
const CLIENT = '127.0.0.2'

/** A client that the proxies are not. */
async function clientOf(port: number, localAddress = CLIENT): Promise<RawClient> {
  const host = net.isIPv6(localAddress) ? '::1' : '127.0.0.1'
  const socket = net.connect({ host, port, localAddress, allowHalfOpen: true })
  await once(socket, 'connect')
  return new RawClient(socket)
}

interface SeeingUpstream extends ScriptedUpstream {
  readonly heads: readonly RawAnswer[]
}

/** Grants every upgrade, and answers everything else 200. */
async function seeing(): Promise<SeeingUpstream> {
  const heads: RawAnswer[] = []
  const upstream = await scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const head = await connection.head()
      heads.push(head)
      const isUpgrade = head.fields.has('upgrade')
      connection.write(isUpgrade ? SWITCHING : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      if (isUpgrade) return
    }
  })
  return Object.assign(upstream, { heads })
}

/** The fields that tell of the client, by lower-case name. */
function story(head: RawAnswer | undefined): Record<string, string> {
  const told = [...(head?.fields ?? [])].filter(([name]) => /^(?:x-)?forwarded|^x-real/.test(name))
  return Object.fromEntries(told)
}

/** A proxy of its own, with its files in a folder that goes with it. */
async function startProxy(
  path: string,
  config: (port: number, folder: string) => string,
  args: (file: string, folder: string) => string[],
  ready: RegExp,
): Promise<AsyncDisposable & { readonly port: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-proxy-'))
  const port = await freePort()
  const file = join(folder, 'proxy.conf')
  await writeFile(file, config(port, folder))
  const program = new RunningProgram(path, args(file, folder))
  await program.output(ready, 'stderr')
  return {
    port,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** `option forwarded` came with 2.8; before it the field is added by a rule that writes the same. */
function haproxyForwards(): string {
  const { stdout } = spawnSync(haproxy.path, ['-v'], { encoding: 'utf8' })
  const [, major, minor] = /version (\d+)\.(\d+)/.exec(stdout) ?? []
  return Number(major) * 100 + Number(minor) >= 208
    ? 'option forwarded proto host by by_port for for_port'
    : String.raw`http-request add-header Forwarded proto=http;by=\"%[dst]:%[dst_port]\";for=\"%[src]:%[src_port]\";host=\"%[req.hdr(host)]\"`
}

function startHaproxy(gatewayPort: number): ReturnType<typeof startProxy> {
  return startProxy(
    haproxy.path,
    (port) => `global
  log stderr format raw local0 notice
defaults
  mode http
  timeout connect 10s
  timeout client 1m
  timeout server 1m
listen front
  bind 127.0.0.1:${port}
  ${haproxyForwards()}
  server gateway 127.0.0.1:${gatewayPort}
`,
    // The master tells when the worker's sockets are bound.
    (file) => ['-W', '-db', '-f', file],
    /Loading success/,
  )
}

/** With the two maps that nginx's own wiki gives for Forwarded, without its check of what the client sent where `isCareless`. */
function startForwardingNginx(gatewayPort: number, isCareless = false): Promise<Nginx> {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
  const quoted = String.raw`\"([\\t \\x21\\x23-\\x5B\\x5D-\\x7E\\x80-\\xFF]|\\\\[\\t \\x21-\\x7E\\x80-\\xFF])*\"`
  const element = `(${token}=(${token}|${quoted}))?(;(${token}=(${token}|${quoted}))?)*`
  const check = isCareless ? '"~."' : `"~^${element}([ \\\\t]*,[ \\\\t]*${element})*$"`
  return startNginx(
    `location / {
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Forwarded "$add_forwarded;proto=$scheme;host=\\"$http_host\\"";
      proxy_pass http://127.0.0.1:${gatewayPort};
    }`,
    {
      http: `map $remote_addr $forwarded_element {
    ~^[0-9.]+$ "for=$remote_addr";
    ~^[0-9A-Fa-f:.]+$ "for=\\"[$remote_addr]\\"";
    default "for=unknown";
  }
  map $http_forwarded $add_forwarded {
    ${check} "$http_forwarded, $forwarded_element";
    default "$forwarded_element";
  }`,
    },
  )
}

describe('a client without a proxy', () => {
  const claims = [
    'Forwarded: for=10.1.2.3;proto=https;host=bank.test',
    'X-Forwarded-For: 10.1.2.4',
    'X-Forwarded-Host: evil.test',
    'X-Real-IP: 10.1.2.5',
  ]
  const field = 'for=127.0.0.2;host=gateway.test;proto=http'
  const x = {
    'x-forwarded-for': '127.0.0.2',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'gateway.test',
    'x-forwarded-port': '80',
    'x-real-ip': '127.0.0.2',
  }
  for (const { write, expected } of [
    { write: 'forwarded', expected: { forwarded: field } },
    { write: 'both', expected: { forwarded: field, ...x } },
  ]) {
    it(`is told of by write: ${write}, on upgrades and plain requests alike`, async () => {
      await using upstream = await seeing()
      await using gateway = await startTestGateway(
        `${TRUST}\nforwarded: { read: forwarded, write: ${write} }\nroutes: [{ upstream: "${upstream.url}" }]`,
      )
      for (const request of [
        handshake('/', claims),
        ['GET / HTTP/1.1', 'Host: gateway.test', ...claims, '\r\n'].join('\r\n'),
      ]) {
        await using client = await clientOf(gateway.port)
        client.write(request)
        await client.head()
        assert.deepEqual(story(upstream.heads.at(-1)), expected)
      }
      assert.equal(upstream.heads.length, 2)
      assert.equal((await gateway.log('tunnel open'))['clientIp'], CLIENT)
    })
  }

  it('is told of by X-Forwarded-* alone, though a proxy lets his Forwarded through', async () => {
    await using upstream = await seeing()
    await using gateway = await startTestGateway(
      `${TRUST}\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using proxy = await rawClient(gateway.port)
    proxy.write(handshake('/', ['X-Forwarded-For: 192.0.2.7', claims[0] ?? '']))
    assert.equal((await proxy.head()).status, 101)
    assert.deepEqual(story(upstream.heads[0]), {
      ...x,
      'x-forwarded-for': '192.0.2.7, 127.0.0.1',
      'x-forwarded-port': String(gateway.port),
      'x-real-ip': '192.0.2.7',
    })
  })

  it('is told of in another way after a reload', async () => {
    await using upstream = await seeing()
    const routes = `routes: [{ upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(routes)
    const names = async (): Promise<string[]> => {
      await using client = await clientOf(gateway.port)
      client.write(handshake())
      await client.head()
      return Object.keys(story(upstream.heads.at(-1)))
    }
    assert.deepEqual(await names(), Object.keys(x))
    const result = await gateway.reload(`forwarded: { write: forwarded }\n${routes}`)
    assert.equal(result.ok, true)
    assert.deepEqual(await names(), ['forwarded'])
  })

  it(
    'is told of by its IPv6 address, in quotes and brackets, which the next gateway reads',
    {
      skip: hasIpv6 ? false : 'there is no ::1',
    },
    async () => {
      await using upstream = await seeing()
      await using inner = await startTestGateway(
        `${TRUST}\nforwarded: { read: forwarded, write: both }\nroutes: [{ upstream: "${upstream.url}" }]`,
      )
      await using outer = await startTestGateway(
        `listeners: [{ address: "[::1]:0" }]\nforwarded: { write: forwarded }\nroutes: [{ upstream: "http://127.0.0.1:${inner.port}" }]`,
      )
      await using client = await clientOf(outer.port, '::1')
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
      assert.deepEqual(story(upstream.heads[0]), {
        forwarded: 'for="[::1]";host=gateway.test;proto=http, for=127.0.0.1',
        'x-forwarded-for': '::1, 127.0.0.1',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': 'gateway.test',
        'x-forwarded-port': '80',
        'x-real-ip': '::1',
      })
      assert.equal((await inner.log('tunnel open'))['clientIp'], '::1')
    },
  )
})

describe('an auth server', () => {
  it('is asked with the same story in both families', async () => {
    const asked: Record<string, unknown>[] = []
    const server = createServer((request, response) => {
      asked.push(request.headers)
      response.end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    await using upstream = await seeing()
    await using gateway = await startTestGateway(
      `${TRUST}
forwarded: { read: forwarded, write: both }
auth: { portal: { type: forward, url: "http://127.0.0.1:${(server.address() as net.AddressInfo).port}" } }
routes: [{ auth: [portal], upstream: "${upstream.url}" }]`,
    )
    await using client = await clientOf(gateway.port, '127.0.0.1')
    client.write(
      handshake('/', ['Forwarded: for=192.0.2.7;proto=https', 'X-Forwarded-For: 10.9.9.9']),
    )
    assert.equal((await client.head()).status, 101)
    const { forwarded } = story(upstream.heads[0])
    assert.equal(forwarded, 'for=192.0.2.7;host=gateway.test;proto=https, for=127.0.0.1')
    assert.equal(asked[0]?.['forwarded'], forwarded)
    assert.equal(asked[0]?.['x-forwarded-for'], '192.0.2.7, 127.0.0.1')
    assert.equal(asked[0]?.['x-original-url'], 'https://gateway.test/')
    assert.equal(asked[0]?.['x-real-ip'], '192.0.2.7')
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
})

describe('behind HAProxy, which adds a line of Forwarded', { skip: haproxy.skip }, () => {
  const spoofs: [name: string, lines: string[]][] = [
    ['nothing', []],
    ['an element of its own', ['Forwarded: for=127.0.0.1;host=evil.test;proto=https']],
    ['a line that is not valid', ['Forwarded: for="127.0.0.1']],
    [
      'X-Forwarded-*',
      ['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Proto: https', 'X-Real-IP: 1.2.3.4'],
    ],
  ]
  for (const [name, lines] of spoofs) {
    it(`finds the client that sends ${name}`, async () => {
      await using upstream = await seeing()
      await using gateway = await startTestGateway(
        `${TRUST}\nforwarded: { read: forwarded, write: both }\nroutes: [{ allow: [${CLIENT}], upstream: "${upstream.url}" }]`,
      )
      await using front = await startHaproxy(gateway.port)
      await using client = await clientOf(front.port)
      client.write(handshake('/', lines))
      assert.equal((await client.head()).status, 101)
      const open = await gateway.log('tunnel open')
      assert.equal(open['clientIp'], CLIENT)
      const told = story(upstream.heads[0])
      assert.doesNotMatch(JSON.stringify(told), /evil|https|1\.2\.3\.4/)
      assert.match(
        told['forwarded'] ?? '',
        /for="127\.0\.0\.2:\d+";by="127\.0\.0\.1:\d+";host=gateway\.test;proto=http, for=127\.0\.0\.1$/,
      )
      assert.match(told['x-forwarded-for'] ?? '', /(?:^|, )127\.0\.0\.2, 127\.0\.0\.1$/)
      assert.equal(told['x-forwarded-host'], 'gateway.test')
    })
  }

  it('finds the browser that a page is open in', { skip: chromium.skip }, async () => {
    const heads: IncomingHttpHeaders[] = []
    await using server = await wsServer({
      verifyClient: ({ req }: { readonly req: IncomingMessage }) => heads.push(req.headers) > 0,
    })
    await using gateway = await startTestGateway(
      `${TRUST}\nforwarded: { read: forwarded, write: forwarded }\nroutes: [{ match: { path: /ws }, upstream: "${server.url}" }, { upstream: "builtin:echo" }]`,
    )
    await using front = await startHaproxy(gateway.port)
    await using browser = await Chromium.start(chromium.path)
    const page = await browser.page()
    await page.load(`http://127.0.0.1:${front.port}/`)
    assert.equal(
      await page.evaluate(`new Promise((resolve) => {
          const socket = new WebSocket('ws://127.0.0.1:${front.port}/ws')
          socket.onopen = () => { socket.close(); resolve('open') }
          socket.onerror = () => resolve('refused')
        })`),
      'open',
    )
    const [headers = {}] = heads
    assert.match(
      headers['forwarded'] ?? '',
      new RegExp(
        `^for="127\\.0\\.0\\.1:\\d+";by="127\\.0\\.0\\.1:${front.port}";host="127\\.0\\.0\\.1:${front.port}";proto=http, for=127\\.0\\.0\\.1$`,
      ),
    )
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith('x-forwarded')),
      [],
    )
  })
})

describe('behind nginx, which appends to the line of Forwarded', { skip: nginx.skip }, () => {
  for (const [name, lines, forwarded] of [
    ['nothing', [], ''],
    [
      'an element of its own',
      ['Forwarded: for=127.0.0.1;host=evil.test;proto=https'],
      'for=127.0.0.1, ',
    ],
    ['a line that is not valid', ['Forwarded: for="127.0.0.1'], ''],
  ] as const) {
    it(`finds the client that sends ${name}`, async () => {
      await using upstream = await seeing()
      await using gateway = await startTestGateway(
        `${TRUST}\nforwarded: { read: forwarded, write: forwarded }\nroutes: [{ allow: [${CLIENT}], upstream: "${upstream.url}" }]`,
      )
      await using front = await startForwardingNginx(gateway.port)
      await using client = await clientOf(front.port)
      client.write(handshake('/', lines))
      assert.equal((await client.head()).status, 101)
      assert.deepEqual(story(upstream.heads[0]), {
        forwarded: `${forwarded}for=127.0.0.2;host=gateway.test;proto=http, for=127.0.0.1`,
      })
    })
  }

  it('does not let a client pass for nginx by an open quote that swallows what it appends', async () => {
    await using upstream = await seeing()
    await using gateway = await startTestGateway(
      `${TRUST}\nforwarded: { read: forwarded }\nroutes: [{ allow: ["127.0.0.1"], upstream: "${upstream.url}" }]`,
    )
    await using front = await startForwardingNginx(gateway.port, true)
    for (const [line, status] of [
      ['Forwarded: for=127.0.0.1', 403],
      ['Forwarded: for="', 400],
      [`Forwarded: ${'for=127.0.0.1,'.repeat(64)}`, 400],
    ] as const) {
      await using client = await clientOf(front.port)
      client.write(handshake('/', [line]))
      assert.equal((await client.head()).status, status, line.slice(0, 40))
    }
    assert.equal(upstream.connections, 0)
  })
})
