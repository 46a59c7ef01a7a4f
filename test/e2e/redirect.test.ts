import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient } from '../support/raw-client.ts'

function redirecting(redirect: string, more = ''): Promise<TestGateway> {
  return startTestGateway(
    `listeners: [{ address: "127.0.0.1:0", redirect: ${redirect} }]\n${more}\nroutes: [{ upstream: "builtin:echo" }]`,
  )
}

function request(line: string, ...fields: readonly string[]): string {
  return [line, ...fields, '\r\n'].join('\r\n')
}

describe('a listener that redirects', () => {
  for (const [what, text, location] of [
    ['a GET', request('GET /a?b=c HTTP/1.1', 'Host: a.test'), 'https://a.test/a?b=c'],
    [
      'a POST',
      request('POST / HTTP/1.1', 'Host: A.test:8080', 'Content-Length: 0'),
      'https://a.test/',
    ],
    ['an address', request('GET / HTTP/1.1', 'Host: [::1]:80'), 'https://[::1]/'],
    ['a target of two slashes', request('GET //b.test HTTP/1.1', 'Host: a'), 'https://a//b.test'],
    ['an absolute target', request('GET http://b.test/x HTTP/1.1', 'Host: a'), 'https://b.test/x'],
    ['OPTIONS *', request('OPTIONS * HTTP/1.1', 'Host: a.test'), 'https://a.test/'],
    ['an upgrade', handshake('/ws'), 'https://gateway.test/ws'],
  ] as const) {
    it(`sends ${what} to https`, async () => {
      await using gateway = await redirecting('https')
      await using client = await rawClient(gateway.port)
      client.write(text)
      const { status, fields } = await client.answer()
      assert.deepEqual([status, fields.get('location')], [308, location])
      await gateway.log('request', { status: 308, code: 'E_HTTPS_REQUIRED' })
      assert.equal(await gateway.metric('upgate_requests_total', { route: '-', status: '308' }), 1)
    })
  }

  it('answers HEAD without a body, and the next request of the connection', async () => {
    await using gateway = await redirecting('https')
    await using client = await rawClient(gateway.port)
    client.write(request('HEAD / HTTP/1.1', 'Host: a.test'))
    assert.equal((await client.head()).status, 308)
    client.write(request('GET / HTTP/1.1', 'Host: b.test'))
    assert.equal((await client.answer()).fields.get('location'), 'https://b.test/')
  })

  it('names the port where it is another one, and the host that a trusted proxy tells', async () => {
    await using gateway = await redirecting('{ port: 8443 }', 'trustedProxies: [127.0.0.1]')
    await using client = await rawClient(gateway.port)
    client.write(request('GET /a HTTP/1.1', 'Host: inner', 'X-Forwarded-Host: outer.test'))
    assert.equal((await client.answer()).fields.get('location'), 'https://outer.test:8443/a')
  })

  for (const [what, text, status] of [
    ['no host', request('GET / HTTP/1.0'), 400],
    ['an empty host', request('GET / HTTP/1.1', 'Host:'), 400],
    ['a host that is none', request('GET / HTTP/1.1', 'Host: a/b'), 400],
    ['two hosts', request('GET / HTTP/1.1', 'Host: a', 'Host: b'), 400],
    ['TRACE', request('TRACE / HTTP/1.1', 'Host: a'), 405],
  ] as const) {
    it(`sends ${what} nowhere`, async () => {
      await using gateway = await redirecting('https')
      await using client = await rawClient(gateway.port)
      client.write(text)
      const answer = await client.answer()
      assert.deepEqual([answer.status, answer.fields.has('location')], [status, false])
    })
  }

  it('begins and ends with a reload', async () => {
    await using gateway = await redirecting('https')
    await using client = await rawClient(gateway.port)
    const ask = async (): Promise<number> => {
      client.write(request('GET / HTTP/1.1', 'Host: a'))
      return (await client.answer()).status
    }
    assert.equal(await ask(), 308)
    const routes = 'routes: [{ upstream: "builtin:echo", http: false }]'
    await gateway.reload(`listeners: [{ address: "127.0.0.1:0" }]\n${routes}`)
    assert.equal(await ask(), 426)
    await gateway.reload(`listeners: [{ address: "127.0.0.1:0", redirect: https }]\n${routes}`)
    assert.equal(await ask(), 308)
  })
})
