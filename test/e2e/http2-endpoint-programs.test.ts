/** Real programs as endpoints with HTTP/2, and as clients in front of them. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { apache, startApache } from '../support/apache.ts'
import { caddy, startCaddy } from '../support/caddy.ts'
import { Chromium } from '../support/chromium.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { haproxy, startHaproxy } from '../support/haproxy.ts'
import { clientOf, endpointOf, listenerOf, TLS_FILES } from '../support/http-versions.ts'
import { nginx, startNginx } from '../support/nginx.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'

const curl = findProgram('curl')
const chromium = findProgram('chromium')
const BIG = Buffer.alloc(3_000_000, 'a big body ')

/** Where programs find certificates. */
let folder = ''

function file(name: keyof typeof TLS_FILES | 'both.pem'): string {
  return join(folder, name)
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upgate-programs-'))
  for (const [name, content] of Object.entries(TLS_FILES)) {
    await writeFile(join(folder, name), content)
  }
  const both = Buffer.concat([TLS_FILES['cert.pem'], TLS_FILES['key.pem']])
  await writeFile(file('both.pem'), both)
})

after(() => rm(folder, { recursive: true }))

function gatewayTo(url: string, isSecure = false): Promise<TestGateway> {
  return startTestGateway(
    `${listenerOf(isSecure)}
upstreams: { app: { endpoints: [{ url: "${url}", http2: true }], tls: { ca: ./ca.pem } } }
routes: [{ name: app, upstream: app }]`,
    TLS_FILES,
  )
}

/** Has something echoed, and says with which versions it went, as the log has them. */
async function chatThrough(gateway: TestGateway, url: string): Promise<unknown[]> {
  await using client = await wsClient(url, ['chat'], { perMessageDeflate: true })
  assert.equal(client.socket.protocol, 'chat')
  assert.match(client.socket.extensions, /permessage-deflate/)
  for (const data of [Buffer.from('hello'), BIG]) {
    client.socket.send(data)
    assert.deepEqual((await client.message()).data, data)
  }
  client.socket.close(4001, 'enough')
  assert.deepEqual(await client.closed(), { code: 4001, reason: 'enough' })
  const line = await gateway.log('tunnel close', { protocol: 'websocket' })
  assert.equal(line['wsCloseCode'], 4001)
  return [line['httpVersion'], line['endpointHttpVersion']]
}

describe('HAProxy as an endpoint with HTTP/2', { skip: haproxy.skip }, () => {
  for (const { name, scheme, bind } of [
    { name: 'with prior knowledge', scheme: 'http', bind: () => 'proto h2' },
    { name: 'by ALPN', scheme: 'https', bind: () => `ssl crt ${file('both.pem')} alpn h2` },
  ]) {
    it(`takes WebSockets and plain requests, ${name}`, async () => {
      await using server = await wsServer({ perMessageDeflate: true })
      await using behind = await startHaproxy({ mode: 'http', server: server.port, bind: bind() })
      await using gateway = await gatewayTo(`${scheme}://127.0.0.1:${behind.port}`)
      const url = `ws://127.0.0.1:${gateway.port}/`
      assert.deepEqual(await chatThrough(gateway, url), [undefined, '2.0'])
      await using client = await clientOf(gateway, {
        client: '1.1',
        endpoint: '2',
        isSecure: false,
      })
      // The server behind it knows WebSockets alone.
      assert.equal((await client.ask('/page')).status, 426)
      const line = await gateway.log('request', { path: '/page' })
      assert.equal(line['endpointHttpVersion'], '2.0')
    })
  }

  it('is behind a gateway that another one is in front of', async () => {
    await using server = await wsServer({ perMessageDeflate: true })
    await using behind = await startHaproxy({ mode: 'http', server: server.port, bind: 'proto h2' })
    await using gateway = await gatewayTo(`http://127.0.0.1:${behind.port}`)
    const send = 'proto h2 ws h2'
    await using front = await startHaproxy({ mode: 'http', server: gateway.port, send })
    const url = `ws://127.0.0.1:${front.port}/`
    assert.deepEqual(await chatThrough(gateway, url), ['2.0', '2.0'])
  })
})

/** What every server with HTTP/2 is asked; it serves `BIG` at /big, and has nothing at /none. */
async function askBothVersions(gateway: TestGateway): Promise<void> {
  for (const version of ['1.1', '2'] as const) {
    const pair = { client: version, endpoint: '2', isSecure: false } as const
    await using client = await clientOf(gateway, pair)
    const answers = await Promise.all([
      client.ask('/big'),
      client.ask('/big', { method: 'HEAD' }),
      client.ask('/none'),
      client.ask('/big', { headers: { Range: 'bytes=2-4' } }),
    ])
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 404, 206],
    )
    const [whole, head, , part] = answers
    assert.deepEqual([whole.body, head.body.length], [BIG, 0])
    assert.equal(head.headers['content-length'], String(BIG.length))
    assert.equal(part.body.toString(), 'big')
  }
  const lines = gateway.logs.filter(({ msg }) => msg === 'request')
  assert.equal(lines.length, 8)
  assert.ok(lines.every((line) => line['endpointHttpVersion'] === '2.0'))
  assert.equal(await gateway.metric('upgate_upstream_http2_connections'), 1)
}

describe('a server that knows no WebSockets over HTTP/2', () => {
  it(
    'is asked by HTTP/2, and gets WebSockets by HTTP/1.1: nginx',
    { skip: nginx.skip },
    async () => {
      await writeFile(join(folder, 'big'), BIG)
      await using server = await wsServer({ perMessageDeflate: true })
      const block = `
      ssl_certificate ${file('cert.pem')};
      ssl_certificate_key ${file('key.pem')};
      root ${folder};
      location /chat {
        proxy_pass http://127.0.0.1:${server.port};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
      }`
      await using behind = await startNginx(block, { listen: 'ssl http2' })
      await using gateway = await gatewayTo(`https://127.0.0.1:${behind.port}`)
      await askBothVersions(gateway)
      const url = `ws://127.0.0.1:${gateway.port}/chat`
      assert.deepEqual(await chatThrough(gateway, url), [undefined, undefined])
    },
  )

  it(
    'is asked by HTTP/2, and gets WebSockets by HTTP/1.1: Caddy',
    { skip: caddy.skip },
    async () => {
      await writeFile(join(folder, 'big'), BIG)
      await using server = await wsServer({ perMessageDeflate: true })
      const site = `
      reverse_proxy /chat 127.0.0.1:${server.port}
      file_server {
        root ${folder}
      }`
      const options = { cert: file('cert.pem'), key: file('key.pem'), site }
      await using behind = await startCaddy(options)
      await using gateway = await gatewayTo(`https://127.0.0.1:${behind.port}`)
      await askBothVersions(gateway)
      const url = `ws://127.0.0.1:${gateway.port}/chat`
      assert.deepEqual(await chatThrough(gateway, url), [undefined, undefined])
    },
  )

  it('is asked with prior knowledge: Apache', { skip: apache.skip }, async () => {
    await using behind = await startApache({ big: BIG })
    await using gateway = await gatewayTo(behind.url)
    await askBothVersions(gateway)
  })
})

describe('over TLS with HTTP/2 on both sides', () => {
  it('curl gets and sends, with a body that waits for 100', { skip: curl.skip }, async () => {
    let seen = ''
    await using endpoint = await endpointOf({
      endpoint: '2',
      isSecure: true,
      onRequest: async (request, response) => {
        if (request.headers['expect'] !== undefined) response.writeContinue()
        seen = String(request.headers['content-length'])
        response.setHeader('Trailer', 'X-Sum')
        for await (const chunk of request) response.write(chunk)
        response.addTrailers({ 'X-Sum': '7' })
        response.end()
      },
    })
    await using gateway = await gatewayTo(endpoint.url, true)
    const options = ['--http2', '-sSv', '--cacert', file('ca.pem'), '-H', 'Expect: 100-continue']
    const posting = ['--data-binary', '@-', '-w', '\n%{http_version} %{http_code}']
    const url = `https://127.0.0.1:${gateway.port}/`
    const { stdout, stderr, code } = await runProgram(curl.path, [...options, ...posting, url], {
      input: BIG,
    })
    assert.equal(code, 0, stderr)
    assert.equal(stdout, `${BIG.toString()}\n2 200`)
    assert.match(stderr, /< x-sum: 7/)
    assert.equal(seen, String(BIG.length))
    const line = await gateway.log('request')
    assert.deepEqual(
      [line['httpVersion'], line['endpointHttpVersion'], line['bytesUp']],
      ['2.0', '2.0', BIG.length],
    )
  })

  it('Chromium loads a page and talks over a WebSocket', { skip: chromium.skip }, async () => {
    await using endpoint = await endpointOf({
      endpoint: '2',
      isSecure: true,
      onRequest: (_request, response) => {
        response.setHeader('Content-Type', 'text/html')
        response.end('<!doctype html><link rel="icon" href="data:,"><title>page</title>')
      },
    })
    await using gateway = await gatewayTo(endpoint.url, true)
    await using browser = await Chromium.start(chromium.path)
    const page = await browser.page()
    await page.load(`https://127.0.0.1:${gateway.port}/`)
    const answer = await page.evaluate(`new Promise((resolve, reject) => {
      const socket = new WebSocket('wss://127.0.0.1:${gateway.port}/chat', ['chat'])
      socket.onopen = () => socket.send('x'.repeat(1e6))
      socket.onmessage = ({ data }) => {
        socket.onclose = ({ code }) => {
          resolve([socket.protocol, socket.extensions, data.length, code])
        }
        socket.close(4001)
      }
      socket.onerror = reject
    })`)
    const extensions = 'permessage-deflate'
    assert.deepEqual(answer, ['chat', extensions, 1e6, 4001])
    assert.deepEqual(page.complaints, [])
    const line = await gateway.log('tunnel close', { path: '/chat' })
    assert.deepEqual(
      [line['httpVersion'], line['endpointHttpVersion'], line['wsCloseCode']],
      ['2.0', '2.0', 4001],
    )
  })
})
