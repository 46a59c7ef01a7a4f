import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { readBody } from '../../src/admin/body.ts'
import { fakeAdmin, type FakeAdmin } from './fake-api.ts'

/** Closes all tunnels, with this body; returns the status line and the detail. */
async function send(admin: FakeAdmin, body: string, lines: readonly string[]): Promise<string> {
  const socket = net.connect(admin.port, '127.0.0.1')
  socket.write(
    [
      'DELETE /api/tunnels?all=true HTTP/1.1',
      'Host: localhost',
      'Connection: close',
      ...lines,
      '',
      body,
    ].join('\r\n'),
  )
  const answer = await text(socket)
  const [, status = ''] = /^HTTP\/1\.1 (\d+)/.exec(answer) ?? []
  const [, detail = ''] = /"detail":"([^"]*)"/.exec(answer) ?? []
  return `${status} ${detail}`.trim()
}

function sendJson(admin: FakeAdmin, body: string, type = 'application/json'): Promise<string> {
  return send(admin, body, [`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body)}`])
}

describe('the body of a call', () => {
  it('may be missing', async () => {
    await using admin = await fakeAdmin()
    assert.equal(await send(admin, '', []), '202')
    assert.equal(await send(admin, '', ['Content-Length: 0']), '202')
  })

  for (const type of ['application/json', 'application/JSON; charset=utf-8']) {
    it(`is read as ${type}`, async () => {
      await using admin = await fakeAdmin()
      admin.gateway.open()
      assert.equal(await sendJson(admin, '{"code":4001,"reason":"maintenance"}', type), '202')
      assert.deepEqual(admin.gateway.told[0]?.frame, { code: 4001, text: 'maintenance' })
    })
  }

  it('may come in chunks', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open()
    const lines = ['Content-Type: application/json', 'Transfer-Encoding: chunked']
    assert.equal(await send(admin, '6\r\n{"code\r\n7\r\n":4002}\r\n0\r\n\r\n', lines), '202')
    assert.equal(admin.gateway.told[0]?.frame?.code, 4002)
  })

  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', '']) {
    it(`is refused as "${type}", which a form of another site can send`, async () => {
      await using admin = await fakeAdmin()
      assert.match(await sendJson(admin, '{}', type), /^415 /)
    })
  }

  for (const [body, answer] of [
    ['{', '400 The body is not valid JSON.'],
    ['[]', '400 The body has to be a JSON object.'],
    ['null', '400 The body has to be a JSON object.'],
    ['"text"', '400 The body has to be a JSON object.'],
  ] as const) {
    it(`is refused as ${body}`, async () => {
      await using admin = await fakeAdmin()
      assert.equal(await sendJson(admin, body), answer)
    })
  }

  it('may have 16 KiB, and not a byte more', async () => {
    await using admin = await fakeAdmin()
    const ofBytes = (bytes: number) => `{}${' '.repeat(bytes - 2)}`
    assert.equal(await sendJson(admin, ofBytes(16 * 1024)), '202')
    assert.equal(
      await sendJson(admin, ofBytes(16 * 1024 + 1)),
      '413 A body has at most 16 KiB here.',
    )
  })

  it('that ends too early is the fault of who calls, not of the gateway', async () => {
    const server = http.createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    const head = 'POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json'
    socket.write(`${head}\r\nContent-Length: 10\r\n\r\n{`)
    const [request] = (await once(server, 'request')) as [http.IncomingMessage]
    const body = readBody(request)
    socket.destroy()
    const answer = await body
    assert.equal('status' in answer && answer.status, 400)
    server.close()
    await once(server, 'close')
  })
})
