import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { runInNewContext } from 'node:vm'
import { WebSocket as WsClient } from 'ws'
import type { ClientOptions } from 'ws'
import { startEcho } from '../../src/builtin/echo.ts'

interface Running extends AsyncDisposable {
  readonly port: number
  readonly http: string
  readonly ws: string
}

async function running(): Promise<Running> {
  const echo = await startEcho()
  assert.ok(echo.address.kind === 'tcp')
  const { host, port } = echo.address
  return {
    port,
    http: `http://${host}:${port}`,
    ws: `ws://${host}:${port}`,
    [Symbol.asyncDispose]: () => echo.close(),
  }
}

async function opened(
  url: string,
  protocols: string[] = [],
  options: ClientOptions = {},
): Promise<WsClient> {
  const client = new WsClient(url, protocols, options)
  await once(client, 'open')
  return client
}

/** The next message, and whether it is binary. */
async function received(client: WsClient): Promise<{ data: Buffer; isBinary: boolean }> {
  const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean]
  return { data, isBinary }
}

async function closeOf(client: WsClient): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(client, 'close')) as [number, Buffer]
  return { code, reason: reason.toString() }
}

/** Settles with the close of a connection, whether in order or by a reset. */
function ending(socket: EventEmitter): Promise<void> {
  const closed = Promise.withResolvers<void>()
  socket.on('error', () => {})
  socket.on('close', () => closed.resolve())
  return closed.promise
}

/** What a raw request is answered with, until the connection ends. */
async function exchange(port: number, request: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.write(request)
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

/** As much of an element as the page's script uses. */
interface FakeElement {
  value?: string
  textContent?: string
  readonly dataset: Record<string, string>
  onsubmit?: (event: { preventDefault: () => void }) => void
  readonly append: (line: FakeElement) => void
  readonly focus: () => void
}

/** Runs a page's script over elements that only remember, with this process' own WebSocket client. */
function runScript(page: string, href: string) {
  const [, script = ''] = /<script nonce="[^"]+">([^]*)<\/script>/.exec(page) ?? []
  const log: string[] = []
  let onReceived: ((line: string) => void) | undefined
  const createElement = (): FakeElement => ({
    value: '',
    dataset: {},
    focus: () => {},
    append: ({ textContent = '', dataset }) => {
      log.push(textContent)
      if (dataset['kind'] !== 'sent') onReceived?.(textContent)
    },
  })
  const elements = new Map<string, FakeElement>()
  const getElementById = (id: string): FakeElement => {
    assert.ok(page.includes(`id="${id}"`), `the page has an element ${id}`)
    const element = elements.get(id) ?? createElement()
    elements.set(id, element)
    return element
  }
  runInNewContext(script, {
    document: { getElementById, createElement },
    location: { href },
    WebSocket,
  })
  const nextLine = (): Promise<string> =>
    new Promise((resolve) => {
      onReceived = resolve
    })
  return { elements, log, nextLine }
}

describe('startEcho', () => {
  describe('WebSocket', () => {
    it('sends text and binary messages back', async () => {
      await using echo = await running()
      const client = await opened(echo.ws)
      client.send('grüße')
      assert.deepEqual(await received(client), { data: Buffer.from('grüße'), isBinary: false })
      client.send(Buffer.from([0, 255]))
      assert.deepEqual(await received(client), { data: Buffer.from([0, 255]), isBinary: true })
      client.send('')
      assert.deepEqual(await received(client), { data: Buffer.alloc(0), isBinary: false })
      client.close()
      await closeOf(client)
    })

    it("works with the platform's own client", async () => {
      await using echo = await running()
      const client = new WebSocket(echo.ws, ['chat'])
      await once(client, 'open')
      assert.equal(client.protocol, 'chat')
      client.send('hello')
      const [message] = (await once(client, 'message')) as [MessageEvent]
      assert.equal(message.data, 'hello')
      client.close(4001, 'enough')
      const [closed] = (await once(client, 'close')) as [CloseEvent]
      assert.deepEqual([closed.code, closed.reason, closed.wasClean], [4001, 'enough', true])
    })

    it('sends a message of 17 MiB back whole', async () => {
      await using echo = await running()
      const client = await opened(echo.ws, [], { perMessageDeflate: false })
      const sent = Buffer.alloc(17 * 1024 * 1024, 'abcdefg')
      client.send(sent)
      assert.ok((await received(client)).data.equals(sent))
      client.terminate()
    })

    it('closes with 1009 above 64 MiB', async () => {
      await using echo = await running()
      const client = await opened(echo.ws, [], { perMessageDeflate: false })
      client.on('error', () => {})
      client.send(Buffer.alloc(64 * 1024 * 1024 + 1))
      assert.equal((await closeOf(client)).code, 1009)
    })

    it('compresses messages', async () => {
      await using echo = await running()
      const client = await opened(echo.ws)
      assert.match(client.extensions, /permessage-deflate/)
      client.send('a'.repeat(100_000))
      assert.equal((await received(client)).data.length, 100_000)
      client.terminate()
    })

    it('takes the first subprotocol that is offered', async () => {
      await using echo = await running()
      const client = await opened(echo.ws, ['json', 'chat'])
      assert.equal(client.protocol, 'json')
      client.terminate()
    })

    it('answers a close with its code and reason', async () => {
      await using echo = await running()
      const client = await opened(echo.ws)
      client.close(4321, 'bye')
      assert.deepEqual(await closeOf(client), { code: 4321, reason: 'bye' })
    })

    it('closes with 1002 after a broken frame, and serves the next client', async () => {
      await using echo = await running()
      const answer = await exchange(
        echo.port,
        'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\xff\xff',
      )
      assert.match(answer, /^HTTP\/1\.1 101 /)
      const client = await opened(echo.ws)
      client.terminate()
    })

    it('waits for a client that does not read, and loses nothing', async () => {
      await using echo = await running()
      const client = await opened(echo.ws, [], { perMessageDeflate: false })
      client.pause()
      const message = Buffer.alloc(256 * 1024, 'x')
      const count = 100
      let flushed = 0
      const allFlushed = Promise.withResolvers<void>()
      for (let i = 0; i < count; i += 1) {
        client.send(message, () => {
          flushed += 1
          if (flushed === count) allFlushed.resolve()
        })
      }
      let bytes = 0
      const allReceived = Promise.withResolvers<void>()
      client.on('message', (data: Buffer) => {
        bytes += data.length
        if (bytes === count * message.length) allReceived.resolve()
      })
      client.resume()
      await Promise.all([allFlushed.promise, allReceived.promise])
      client.terminate()
    })
  })

  describe('HTTP', () => {
    it('tells as JSON what arrived', async () => {
      await using echo = await running()
      const answer = await exchange(
        echo.port,
        'PATCH /a/../b?c=%20d HTTP/1.1\r\nHOST: chat.example.com\r\nx-b: 1\r\nX-A: 2\r\nx-b: 3\r\n' +
          'Connection: close\r\nContent-Length: 5\r\n\r\nhello',
      )
      const [head = '', body = ''] = answer.split('\r\n\r\n')
      assert.match(head, /^HTTP\/1\.1 200 OK\r\n/)
      assert.match(head, /\r\nContent-Type: application\/json\r\n/)
      assert.match(head, /\r\nCache-Control: no-store\r\n/)
      assert.match(head, /\r\nX-Content-Type-Options: nosniff\r\n/)
      assert.deepEqual(JSON.parse(body), {
        method: 'PATCH',
        target: '/a/../b?c=%20d',
        httpVersion: '1.1',
        fields: [
          ['HOST', 'chat.example.com'],
          ['x-b', '1'],
          ['X-A', '2'],
          ['x-b', '3'],
          ['Connection', 'close'],
          ['Content-Length', '5'],
        ],
        body: { bytes: 5, isTruncated: false, text: 'hello' },
        remoteAddress: '127.0.0.1',
      })
    })

    it('answers an upgrade to anything but websocket as a plain request', async () => {
      await using echo = await running()
      const answer = await exchange(
        echo.port,
        'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: tcp\r\n\r\n',
      )
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
    })

    const bodies: { name: string; sent: Buffer; shown: Record<string, unknown> }[] = [
      {
        name: 'shows a body that is no UTF-8 as base64',
        sent: Buffer.from([0xff, 0x00]),
        shown: { bytes: 2, isTruncated: false, base64: '/wA=' },
      },
      {
        name: 'shows a body of exactly 64 KiB whole',
        sent: Buffer.alloc(65_536, 'x'),
        shown: { bytes: 65_536, isTruncated: false, text: 'x'.repeat(65_536) },
      },
      {
        name: 'shows the first 64 KiB of a large body and counts the rest',
        sent: Buffer.alloc(5_000_000, 'x'),
        shown: { bytes: 5_000_000, isTruncated: true, text: 'x'.repeat(65_536) },
      },
      {
        name: 'does not take a character that the limit cuts in two for broken UTF-8',
        sent: Buffer.concat([Buffer.alloc(65_535, 'x'), Buffer.from('é')]),
        shown: { bytes: 65_537, isTruncated: true, text: 'x'.repeat(65_535) },
      },
    ]
    for (const { name, sent, shown } of bodies) {
      it(name, async () => {
        await using echo = await running()
        const response = await fetch(echo.http, { method: 'POST', body: new Uint8Array(sent) })
        assert.deepEqual((await json(response))['body'], shown)
      })
    }

    it('survives a client that leaves in the middle of its body', async () => {
      await using echo = await running()
      const socket = connect({ host: '127.0.0.1', port: echo.port })
      socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhal')
      await once(socket, 'connect')
      socket.destroy()
      assert.equal((await fetch(echo.http)).status, 200)
    })
  })

  describe('page', () => {
    const html = { headers: { Accept: 'text/html,application/xhtml+xml' } }

    it('comes to clients that accept HTML, with a policy that admits its own script alone', async () => {
      await using echo = await running()
      const response = await fetch(echo.http, html)
      assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
      assert.equal(response.headers.get('vary'), 'Accept')
      const policy = response.headers.get('content-security-policy') ?? ''
      assert.match(policy, /^default-src 'none'; script-src 'nonce-[\w+/]{22}=='; /)
      const [, nonce = ''] = /'nonce-([^']+)'/.exec(policy) ?? []
      const page = await response.text()
      assert.ok(page.includes(`<script nonce="${nonce}">`))
      assert.ok(page.includes(`<style nonce="${nonce}">`))
      const second = await fetch(echo.http, html)
      assert.notEqual(second.headers.get('content-security-policy'), policy)
    })

    it('loads nothing from elsewhere', async () => {
      await using echo = await running()
      const page = await (await fetch(echo.http, html)).text()
      assert.doesNotMatch(page, /\b(?:src|href|action)="(?!data:,)/)
      assert.doesNotMatch(page, /url\(|@import|\bimport\(/)
      assert.doesNotMatch(page, / on\w+=/)
    })

    it('connects, sends and closes with its script', async () => {
      await using echo = await running()
      const page = await (await fetch(echo.http, html)).text()
      const { elements, log, nextLine } = runScript(page, echo.http)
      const submit = (form: string) => elements.get(form)?.onsubmit?.({ preventDefault: () => {} })
      assert.equal(elements.get('url')?.value, echo.ws)
      Object.assign(elements.get('protocols') ?? {}, { value: 'json, chat' })
      submit('connect')
      assert.equal(await nextLine(), 'open (subprotocol json, permessage-deflate)')
      assert.equal(elements.get('state')?.value, 'open')
      Object.assign(elements.get('message') ?? {}, { value: '<b>' })
      submit('compose')
      assert.equal(await nextLine(), '\u2193 <b>')
      submit('connect')
      assert.equal(await nextLine(), 'closed 1000')
      assert.equal(elements.get('toggle')?.textContent, 'Connect')
      assert.deepEqual(log, [
        'open (subprotocol json, permessage-deflate)',
        '\u2191 <b>',
        '\u2193 <b>',
        'closed 1000',
      ])
      Object.assign(elements.get('url') ?? {}, { value: 'mailto:nobody' })
      submit('connect')
      assert.equal(log.length, 5)
    })

    it('escapes everything out of the request', async () => {
      await using echo = await running()
      const markup = `"><script>alert('x')</script><img src=x onerror=y>&`
      const answer = await exchange(
        echo.port,
        `POST /${markup.replaceAll(' ', '%20')} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n` +
          `X-Mark: ${markup}\r\nConnection: close\r\nContent-Length: ${markup.length}\r\n\r\n${markup}`,
      )
      assert.equal(answer.match(/<script/g)?.length, 1)
      assert.ok(!answer.includes('<img'))
      const escaped =
        '&#34;&#62;&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#60;img src=x onerror=y&#62;&#38;'
      assert.ok(answer.includes(`<td>${escaped}</td>`))
      assert.ok(answer.includes(`<pre>${escaped}</pre>`))
      assert.ok(answer.includes(`POST /${escaped.replaceAll(' ', '%20')} HTTP/1.1`))
    })

    it('says when it shows bytes, and the beginning alone', async () => {
      await using echo = await running()
      const body = new Uint8Array(70_000).fill(0xff)
      const page = await (await fetch(echo.http, { ...html, method: 'POST', body })).text()
      assert.match(page, /with a body of 70000 bytes/)
      assert.match(page, /Body \(base64, only the beginning\)/)
    })
  })

  describe('close', () => {
    it('ends WebSockets, waiting requests and idle connections, and frees the port', async () => {
      const echo = await startEcho()
      assert.ok(echo.address.kind === 'tcp')
      const { port } = echo.address
      const client = await opened(`ws://127.0.0.1:${port}`)
      const idle = connect({ host: '127.0.0.1', port })
      const half = connect({ host: '127.0.0.1', port })
      half.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhal')
      await Promise.all([once(idle, 'connect'), once(half, 'connect')])
      const ends = [client, idle, half].map(ending)
      await Promise.all([echo.close(), ...ends])
      const refused = connect({ host: '127.0.0.1', port })
      const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
      assert.equal(error.code, 'ECONNREFUSED')
      await echo.close()
    })
  })
})
