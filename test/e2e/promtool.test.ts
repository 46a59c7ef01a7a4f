import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freePort } from '../support/free-port.ts'
import { startTestGateway } from '../support/gateway.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { handshake, rawClient, SWITCHING, type RawAnswer } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { untilLeft } from '../support/until-left.ts'

const promtool = findProgram('promtool', 'prometheus')

function basic(credentials: string): string {
  return `Authorization: Basic ${Buffer.from(credentials).toString('base64')}`
}

describe('promtool check metrics', () => {
  it(
    'has no complaint about a scrape with tunnels, refusals and checked credentials in it',
    { skip: promtool.skip },
    async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(`${SWITCHING}hello`)
        await untilLeft(connection)
      })
      await using gateway = await startTestGateway(
        `upstreams:
  chat: { endpoints: ["${upstream.url}", "http://127.0.0.1:${await freePort()}"], balance: round-robin }
auth:
  staff: { type: basic, users: ./users }
routes:
  - { name: staff, match: { path: /staff }, auth: [staff], upstream: chat }
  - { name: limited, match: { path: /limited }, limits: { tunnels: 1 }, upstream: chat }
  - { name: upgrades, match: { path: /only }, http: false, upstream: chat }
  - { name: echo, match: { path: /echo }, upgrade: any, upstream: "builtin:echo" }`,
        // The password is "secret", in RFC 2307's {SHA}.
        { users: 'ada:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n' },
      )
      const ask = async (request: string): Promise<RawAnswer> => {
        const client = await rawClient(gateway.port)
        clients.push(client)
        client.write(request)
        return client.head()
      }
      const clients: AsyncDisposable[] = []
      await using _clients = {
        async [Symbol.asyncDispose]() {
          for (const client of clients) await client[Symbol.asyncDispose]()
        },
      }
      for (const [request, status] of [
        [handshake('/staff', [basic('ada:secret')]), 101],
        [handshake('/staff', [basic('ada:wrong')]), 401],
        [handshake('/staff'), 401],
        [handshake('/limited'), 101],
        [handshake('/limited'), 503],
        [handshake('/nowhere'), 404],
        ['GET /only HTTP/1.1\r\nHost: a\r\n\r\n', 426],
        ['GET /echo HTTP/1.1\r\nHost: a\r\n\r\n', 200],
        [handshake('/echo'), 101],
        ['no HTTP at all\r\n\r\n', 400],
      ] as const) {
        assert.equal((await ask(request)).status, status, request)
      }
      await clients[3]?.[Symbol.asyncDispose]()
      await gateway.log('tunnel close', { route: 'limited' })

      const scrape = await gateway.metrics()
      for (const series of [
        /^upgate_tunnels_open\{.*route="staff".*\} 1$/m,
        /^upgate_tunnels_closed_total\{.*route="limited".*\} 1$/m,
        /^upgate_auth_total\{.*check="staff",result="pass"\} 1$/m,
        /^upgate_auth_total\{.*check="staff",result="deny"\} 2$/m,
        /^upgate_handshakes_total\{.*result="E_ROUTE_FULL".*\} 1$/m,
        /^upgate_endpoint_up\{.*\} 0$/m,
        /^upgate_tunnel_seconds_bucket\{.*route="limited".*\} 1$/m,
      ]) {
        assert.match(scrape, series)
      }
      const check = await runProgram(promtool.path, ['check', 'metrics'], { input: scrape })
      assert.deepEqual(
        { code: check.code, stdout: check.stdout, stderr: check.stderr },
        { code: 0, stdout: '', stderr: '' },
      )
    },
  )
})
