/** Chromium: the echo page with its WebSocket by HTTP/1.1 and HTTP/2, and pages of other origins. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Chromium } from '../support/chromium.ts'
import { startTestGateway } from '../support/gateway.ts'
import { findProgram } from '../support/programs.ts'

const chromium = findProgram('chromium')

function tlsFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
}

const files = { 'cert.pem': tlsFile('cert.pem'), 'key.pem': tlsFile('key.pem') }
const TLS = 'listeners: [{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem } }]\n'
const HTTP2 = TLS.replace(' } }', ', http2: true } }')

describe('Chromium through the gateway', () => {
  for (const { name, scheme, yaml, httpVersion, status } of [
    { name: 'http', scheme: 'http', yaml: '', httpVersion: undefined, status: 101 },
    { name: 'https', scheme: 'https', yaml: TLS, httpVersion: undefined, status: 101 },
    // RFC 8441: a CONNECT, to which 200 is the yes.
    { name: 'https with HTTP/2', scheme: 'https', yaml: HTTP2, httpVersion: '2.0', status: 200 },
  ]) {
    it(
      `loads the echo page over ${name} and gets its messages back over a WebSocket`,
      { skip: chromium.skip },
      async () => {
        await using gateway = await startTestGateway(
          `${yaml}routes: [{ name: echo, upstream: "builtin:echo" }]`,
          files,
        )
        await using browser = await Chromium.start(chromium.path)
        const page = await browser.page()
        await page.load(`${scheme}://127.0.0.1:${gateway.port}/try?it=1`)
        assert.equal(await page.evaluate('document.title'), 'upgate echo')

        await page.evaluate("document.querySelector('#protocols').value = 'chat, json'")
        await page.evaluate("document.querySelector('#toggle').click()")
        await page.until("document.querySelector('#state').dataset.state === 'open'")
        assert.match(
          String(await page.evaluate("document.querySelector('#log').textContent")),
          /subprotocol chat, permessage-deflate/,
        )

        await page.type('grüße <b>aus dem Browser</b>')
        await page.until("document.querySelector('#log [data-kind=received]') !== null")
        assert.equal(
          await page.evaluate(
            "document.querySelector('#log [data-kind=received]').textContent.slice(2)",
          ),
          'grüße <b>aus dem Browser</b>',
        )

        await page.evaluate("document.querySelector('#toggle').click()")
        await page.until("document.querySelector('#log').textContent.includes('closed 1000')")
        assert.deepEqual(page.complaints, [])
        assert.deepEqual(page.webSockets, [status])
        const close = await gateway.log('tunnel close', { route: 'echo', path: '/try' })
        assert.deepEqual([close['protocol'], close['httpVersion']], ['websocket', httpVersion])
        const request = await gateway.log('request', { path: '/try' })
        assert.equal(request['httpVersion'], httpVersion)
      },
    )
  }

  it(
    'opens a WebSocket by HTTP/1.1 beside a connection of HTTP/2 that was not offered any',
    { skip: chromium.skip },
    async () => {
      const yaml = (upgrade: string): string =>
        `${HTTP2}routes: [{ upstream: "builtin:echo", upgrade: ${upgrade} }]`
      await using gateway = await startTestGateway(yaml('[]'), files)
      await using browser = await Chromium.start(chromium.path)
      const page = await browser.page()
      await page.load(`https://127.0.0.1:${gateway.port}/page`)
      await gateway.log('request', { path: '/page', httpVersion: '2.0' })
      await gateway.reload(yaml('[websocket]'))
      const opened = `new Promise((resolve) => {
        const socket = new WebSocket('wss://127.0.0.1:${gateway.port}/chat')
        socket.onclose = ({ code }) => resolve(code)
        socket.onopen = () => socket.close(1000)
      })`
      assert.equal(await page.evaluate(opened), 1000)
      assert.deepEqual(page.webSockets, [101])
      const close = await gateway.log('tunnel close', { path: '/chat' })
      assert.deepEqual([close['protocol'], close['httpVersion']], ['websocket', undefined])
      assert.equal(await page.evaluate("fetch('/again').then(({ status }) => status)"), 200)
      await gateway.log('request', { path: '/again', httpVersion: '2.0' })
    },
  )

  it(
    'refuses the WebSocket of a page from an origin that is not listed',
    { skip: chromium.skip },
    async () => {
      await using pages = await startTestGateway('routes: [{ upstream: "builtin:echo" }]')
      await using gateway = await startTestGateway(
        `routes: [{ origins: ["http://127.0.0.1:${pages.port}"], upstream: "builtin:echo" }]`,
      )
      await using browser = await Chromium.start(chromium.path)
      const connect = `new Promise((resolve) => {
      const socket = new WebSocket('ws://127.0.0.1:${gateway.port}/')
      socket.onopen = () => { socket.close(); resolve('open') }
      socket.onerror = () => resolve('refused')
    })`
      const page = await browser.page()
      // The echo page's own policy lets it connect to itself alone.
      await page.call('Page.setBypassCSP', { enabled: true })
      await page.load(`http://127.0.0.1:${pages.port}/`)
      assert.equal(await page.evaluate(connect), 'open')
      await page.load(`http://localhost:${pages.port}/`)
      assert.equal(await page.evaluate(connect), 'refused')
      const refused = await gateway.log('request', { code: 'E_ORIGIN_DENIED' })
      assert.equal(refused['status'], 403)
    },
  )
})
