import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { ReloadAnswer, RouteList } from '../../src/admin/gateway-operations.ts'
import type { ProblemBody } from '../../src/admin/problem.ts'
import type { Config } from '../../src/config/config.ts'
import type { ReloadResult } from '../../src/reload/result.ts'
import { fakeAdmin, FakeGateway } from './fake-api.ts'

const taken: ReloadResult = {
  ok: true,
  dryRun: false,
  changes: ['routes[0].timeouts.idle: 10m, was 5m'],
  needsRestart: ['relay.engine'],
  problems: [],
  closing: 3,
  closingByRoute: { chat: 3 },
  kept: 1,
}

/** One whose config is a file that is there. */
class GatewayWithFile extends FakeGateway implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'upgate-api-'))
  readonly file = join(this.#folder, 'upgate.yaml')

  override config(): Config {
    return { ...super.config(), file: this.file }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true })
  }
}

describe('GET /api/routes', () => {
  it('tells their limits and their tunnels, in the order of the config', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open()
    admin.gateway.open({ route: 'gone' })
    const { status, body } = await admin.call<RouteList>('GET', '/api/routes')
    assert.equal(status, 200)
    const none = { tunnelsPerClient: null, handshakesPerSecond: null, requestsPerSecond: null }
    assert.deepEqual(body.routes, [
      {
        name: 'chat',
        upstream: 'chat',
        upgrade: ['websocket'],
        http: true,
        tunnels: 1,
        limits: { tunnels: 10, ...none },
      },
      {
        name: 'feed',
        upstream: 'feed',
        upgrade: 'any',
        http: true,
        tunnels: 0,
        limits: { tunnels: null, ...none },
      },
    ])
  })
})

describe('GET /api/config', () => {
  it('tells the file and what it holds, masked', async () => {
    await using admin = await fakeAdmin()
    const { status, body } = await admin.call('GET', '/api/config')
    assert.equal(status, 200)
    assert.deepEqual(body, { file: admin.gateway.config().file, config: { masked: true } })
  })
})

for (const path of ['/api/reload', '/reload']) {
  describe(`POST ${path}`, () => {
    it('reads the file again, and tells what has changed', async () => {
      using gateway = new GatewayWithFile()
      await using admin = await fakeAdmin({}, gateway)
      const asked: boolean[] = []
      gateway.reload = async ({ dryRun }) => {
        asked.push(dryRun)
        return taken
      }
      writeFileSync(gateway.file, 'routes: []')
      const { status, body } = await admin.call<ReloadAnswer>('POST', path)
      assert.equal(status, 200)
      const { problems, ...rest } = taken
      assert.deepEqual(problems, [])
      const sha256 = createHash('sha256').update('routes: []').digest('hex')
      assert.deepEqual(body, { ...rest, file: gateway.file, sha256 })
      assert.deepEqual(asked, [false])
      assert.deepEqual(gateway.actions, [{ action: 'reload', by: '127.0.0.1', tunnels: 0 }])
    })

    it('only says what would change in a dry run', async () => {
      await using admin = await fakeAdmin()
      admin.gateway.reload = async ({ dryRun }) => ({ ...taken, dryRun })
      const { status, body } = await admin.call<ReloadAnswer>('POST', `${path}?dryRun=true`)
      assert.equal(status, 200)
      assert.equal(body.dryRun, true)
      assert.equal(body.sha256, null)
      assert.deepEqual(admin.gateway.actions, [])
    })

    it('answers 422 with every problem when the file is not taken', async () => {
      await using admin = await fakeAdmin()
      const problems = ['upgate.yaml:1:1: routes: expected a list', 'upgate.yaml:2:1: log: no']
      admin.gateway.reload = async ({ dryRun }) => ({ ...taken, dryRun, ok: false, problems })
      const failed = await admin.call<ProblemBody>('POST', path)
      assert.equal(failed.status, 422)
      assert.deepEqual(failed.body.problems, problems)
      assert.match(
        failed.body.detail,
        / is not taken: 2 problems\. The config before stays in use\.$/,
      )
      const dry = await admin.call<ProblemBody>('POST', `${path}?dryRun=true`)
      assert.match(dry.body.detail, / would not be taken: 2 problems\.$/)
    })
  })
}
