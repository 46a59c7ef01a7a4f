import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createChecks } from '../../src/auth/checks.ts'
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
}

describe('createChecks', () => {
  it('builds a check of each type', async () => {
    await using folder = await temporaryFolder()
    const users = await folder.write('users', 'cid:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=')
    const keys = await folder.write('keys', `ci:${createHash('sha256').update('k').digest('hex')}`)
    const checks = await createChecks(
      byName(
        { name: 'staff', type: 'basic', users, realm: 'staff' },
        { name: 'robots', type: 'apiKey', header: 'X-Api-Key', keys },
        jwtConfig({ secret: 'a secret', algorithms: ['HS256'] }),
        portal,
      ),
      new RecordingLog(),
    )
    assert.deepEqual([...checks.keys()], ['staff', 'robots', 'people', 'portal'])
    for (const [name, check] of checks) {
      assert.equal(check.name, name)
      check.close()
    }
  })

  it('names every file that is wrong', async () => {
    await using folder = await temporaryFolder()
    const users = await folder.write('users', 'ann:hunter2')
    const keys = join(folder.path, 'none')
    const auth = byName({ name: 'staff', type: 'basic', users, realm: 'staff' }, portal, {
      name: 'robots',
      type: 'apiKey',
      header: 'X-Api-Key',
      keys,
    })
    await assert.rejects(createChecks(auth, new RecordingLog()), (error: Error) => {
      const lines = error.message.split('\n')
      assert.equal(lines.length, 2)
      assert.ok(lines[0]?.startsWith(`${users} (users of auth.staff): line 1: `))
      assert.ok(lines[1]?.startsWith(`${keys} (keys of auth.robots): ENOENT`))
      return true
    })
  })
})
