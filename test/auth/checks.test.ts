import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createChecks, type Checks } from '../../src/auth/checks.ts'
import { serverAgent } from '../../src/http/server-agent.ts'
import type { AuthConfig } from '../../src/config/config.ts'
import { jwtConfig } from './jwt-config.ts'
import { RecordingLog } from './recording-log.ts'
import { temporaryFolder } from './temporary-folder.ts'

function byName(...configs: AuthConfig[]): ReadonlyMap<string, AuthConfig> {
  return new Map(configs.map((config) => [config.name, config]))
}

const portal: AuthConfig = {
  name: 'portal',
  type: 'forward',
  url: 'http://127.0.0.1:1/verify',
  copy: [],
  timeoutMs: 1000,
  userHeader: undefined,
  recheckMs: Infinity,
  onRecheckError: 'keep',
}

function staff(users: string): AuthConfig {
  return { name: 'staff', type: 'basic', users, realm: 'staff', closeOnExpiry: true }
}

function robots(keys: string): AuthConfig {
  return { name: 'robots', type: 'apiKey', header: 'X-Api-Key', keys, closeOnExpiry: true }
}

function people(role: string): AuthConfig {
  return jwtConfig({
    secret: 'a secret',
    algorithms: ['HS256'],
    claims: new Map([['role', [role]]]),
  })
}

/** Which of the checks were closed since. */
function closedOf(checks: Checks): () => string[] {
  const closed: string[] = []
  for (const check of checks.values()) {
    const close = check.close.bind(check)
    check.close = () => {
      closed.push(check.name)
      close()
    }
  }
  return () => closed.splice(0)
}

describe('createChecks', () => {
  it('builds a check of each type', async () => {
    await using folder = await temporaryFolder()
    const users = await folder.write('users', 'cid:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=')
    const keys = await folder.write('keys', `ci:${createHash('sha256').update('k').digest('hex')}`)
    const checks = await createChecks(
      byName(
        staff(users),
        robots(keys),
        jwtConfig({ secret: 'a secret', algorithms: ['HS256'] }),
        portal,
      ),
      { log: new RecordingLog(), agents: serverAgent },
    )
    assert.deepEqual([...checks.keys()], ['staff', 'robots', 'people', 'portal'])
    for (const [name, check] of checks) assert.equal(check.name, name)
    const closed = closedOf(checks)
    checks.retire()
    assert.deepEqual(closed(), ['staff', 'robots', 'people', 'portal'])
  })

  it('names every file that is wrong', async () => {
    await using folder = await temporaryFolder()
    const users = await folder.write('users', 'ann:hunter2')
    const keys = join(folder.path, 'none')
    const auth = byName(staff(users), portal, robots(keys))
    await assert.rejects(
      createChecks(auth, { log: new RecordingLog(), agents: serverAgent }),
      (error: Error) => {
        const lines = error.message.split('\n')
        assert.equal(lines.length, 2)
        assert.ok(lines[0]?.startsWith(`${users} (users of auth.staff): line 1: `))
        assert.ok(lines[1]?.startsWith(`${keys} (keys of auth.robots): ENOENT`))
        return true
      },
    )
  })

  it('takes the checks over whose configuration is the same, and retires the others', async () => {
    await using folder = await temporaryFolder()
    const users = await folder.write('users', 'cid:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=')
    const keys = await folder.write('keys', '')
    const log = new RecordingLog()
    const before = await createChecks(byName(staff(users), people('admin'), portal, robots(keys)), {
      log,
      agents: serverAgent,
    })
    const after = await createChecks(
      byName(robots(keys), people('editor'), { ...portal }, staff(users)),
      { log, agents: serverAgent },
      before,
    )
    const kept = [...after].filter(([name, check]) => before.get(name) === check)
    assert.deepEqual(
      kept.map(([name]) => name),
      ['robots', 'portal', 'staff'],
    )
    const closed = closedOf(before)
    before.retire(after)
    assert.deepEqual(closed(), ['people'])
    after.retire()
    assert.deepEqual(closed(), ['robots', 'portal', 'staff'])
  })

  it('leaves the checks before as they were when a file is wrong', async () => {
    await using folder = await temporaryFolder()
    const users = await folder.write('users', '')
    const log = new RecordingLog()
    const before = await createChecks(byName(portal, staff(users)), { log, agents: serverAgent })
    const closed = closedOf(before)
    await assert.rejects(
      createChecks(
        byName(portal, staff(users), robots(join(folder.path, 'none'))),
        { log, agents: serverAgent },
        before,
      ),
      /ENOENT/,
    )
    assert.deepEqual(closed(), [])
    before.retire()
    assert.deepEqual(closed(), ['portal', 'staff'])
  })
})
