import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { activate, letGo, listening, type Line } from '../support/activated-gateway.ts'
import { handshake, rawClient } from '../support/raw-client.ts'

function isListening(line: Line): boolean {
  return line['msg'] === 'listening'
}

describe('a gateway that systemd has started', () => {
  it('serves a TCP and a unix socket, and hands the variables on to nobody', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-systemd-sockets-'))
    const path = join(folder, 'upgate.sock')
    const tcp = await listening({ port: 0, host: '127.0.0.1' })
    const unix = await listening({ path })
    const { port } = tcp.server.address() as AddressInfo
    {
      const yaml = `listeners: [{ address: "systemd:web" }, { address: "systemd:local" }]
routes: [{ upstream: "builtin:echo" }]`
      await using gateway = await activate(yaml, [tcp.fd, unix.fd], 'web:local')
      // Node removes the file of a socket that it closes.
      renameSync(path, `${path}.kept`)
      await letGo(tcp.server)
      await letGo(unix.server)
      renameSync(`${path}.kept`, path)
      await gateway.line((line) => isListening(line) && line['url'] === `unix:${path}`)
      await gateway.line((line) => isListening(line) && line['url'] === `http://127.0.0.1:${port}/`)
      await using client = await rawClient(port)
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
      const [response] = (await once(http.get({ socketPath: path, path: '/' }), 'response')) as [
        http.IncomingMessage,
      ]
      assert.equal(response.statusCode, 200)
      response.resume()
      await once(response, 'end')
    }
    await rm(folder, { recursive: true })
  })

  it('serves all sockets of one name by one listener', async () => {
    const sockets = [
      await listening({ port: 0, host: '127.0.0.1' }),
      await listening({ port: 0, host: '127.0.0.1' }),
    ]
    const ports = sockets.map(({ server }) => (server.address() as AddressInfo).port)
    const yaml = 'listeners: [{ address: systemd }]\nroutes: [{ upstream: "builtin:echo" }]'
    await using gateway = await activate(
      yaml,
      sockets.map(({ fd }) => fd),
      'web:web',
    )
    for (const { server } of sockets) await letGo(server)
    for (const port of ports) {
      await gateway.line((line) => isListening(line) && String(line['url']).includes(`:${port}/`))
      await using client = await rawClient(port)
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
    }
  })

  it('warns of sockets that no listener is for, at the start and by each reload', async () => {
    const sockets = [
      await listening({ port: 0, host: '127.0.0.1' }),
      await listening({ port: 0, host: '127.0.0.1' }),
    ]
    const yaml = 'listeners: [{ address: "systemd:web" }]\nroutes: [{ upstream: "builtin:echo" }]'
    await using gateway = await activate(
      yaml,
      sockets.map(({ fd }) => fd),
      'web:admin',
    )
    for (const { server } of sockets) await letGo(server)
    const warnings = new Set<Line>()
    const isLast = (line: Line, count: number): boolean => {
      if (line['msg'] === 'no listener is for these sockets of systemd') warnings.add(line)
      return warnings.size === count
    }
    await gateway.line((line) => isLast(line, 1))
    // The one whose listener goes away is closed, and keeps nobody waiting.
    await gateway.reload(yaml.replace('systemd:web', '127.0.0.1:0'))
    await gateway.line((line) => isLast(line, 2))
    for (const line of warnings) assert.deepEqual(line['sockets'], ['admin (4)'])
  })

  it('says so when it was passed a socket at which nobody can listen', async () => {
    const datagrams = createSocket('udp4')
    datagrams.bind(0, '127.0.0.1')
    await once(datagrams, 'listening')
    const yaml = 'listeners: [{ address: "systemd" }]\nroutes: [{ upstream: "builtin:echo" }]'
    const { fd } = (datagrams as unknown as { readonly _handle: { readonly fd: number } })._handle
    await using gateway = await activate(yaml, [fd], 'web')
    const { code, err } = await gateway.ended
    assert.equal(code, 1)
    assert.match(err, /cannot listen on socket 3 of systemd: .*EINVAL.*; its unit has to have/)
    datagrams.close()
  })

  it('says so when it was passed nothing, or nothing of that name', async () => {
    const yaml = 'listeners: [{ address: "systemd:web" }]\nroutes: [{ upstream: "builtin:echo" }]'
    await using nothing = await activate(yaml, [], '')
    const { code, err } = await nothing.ended
    assert.deepEqual([code, err], [1, err])
    assert.match(err, /cannot listen on systemd:web: systemd has passed no sockets\./)
    const tcp = await listening({ port: 0, host: '127.0.0.1' })
    await using other = await activate(yaml, [tcp.fd], 'admin')
    assert.match(
      (await other.ended).err,
      /no socket of that name \(FileDescriptorName=\), but admin\./,
    )
    await letGo(tcp.server)
  })
})
