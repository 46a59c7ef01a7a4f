import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import type { RawAnswer } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const curl = findProgram('curl')

describe('curl through the gateway', () => {
  for (const { name, args, body } of [
    { name: 'a GET', args: [], body: '' },
    { name: 'a POST', args: ['--data', 'the body'], body: 'the body' },
  ]) {
    it(
      `answers ${name} plainly when curl --http2 offers h2c along the way`,
      { skip: curl.skip },
      async () => {
        const seen = Promise.withResolvers<RawAnswer & { readonly body: string }>()
        await using upstream = await scriptedUpstream(async (connection) => {
          const request = await connection.head()
          seen.resolve({ ...request, body: await connection.bytes(body.length) })
          connection.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nplain\n')
        })
        await using gateway = await startTestGateway(
          `routes: [{ upgrade: any, upstream: "${upstream.url}" }]`,
        )
        const url = `http://127.0.0.1:${gateway.port}/file`
        const offer = await runProgram(curl.path, ['--http2', '-sS', '-v', ...args, url])
        assert.equal(offer.code, 0, offer.stderr)
        assert.match(offer.stderr, /> Upgrade: h2c/)
        assert.match(offer.stderr, /< HTTP\/1\.1 200 OK/)
        assert.equal(offer.stdout, 'plain\n')
        const request = await seen.promise
        assert.equal(request.body, body)
        for (const field of ['upgrade', 'http2-settings'])
          assert.ok(!request.fields.has(field), field)
        assert.doesNotMatch(request.fields.get('connection') ?? '', /upgrade|http2-settings/i)
      },
    )
  }

  it(
    'shows the 426 of a route for upgrades alone with the protocol that would do',
    { skip: curl.skip },
    async () => {
      await using gateway = await startTestGateway(
        'routes: [{ http: false, upstream: "builtin:echo" }]',
      )
      const { stdout } = await runProgram(curl.path, [
        '-sS',
        '-i',
        `http://127.0.0.1:${gateway.port}/`,
      ])
      assert.match(stdout, /^HTTP\/1\.1 426 Upgrade Required\r\n/)
      assert.match(stdout, /\r\nUpgrade: websocket\r\n/)
    },
  )
})
