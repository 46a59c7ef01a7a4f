import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { authFileProblems, summary } from '../../src/cli/check.ts'
import { fixtures, loadText, withRoute } from '../config/load-text.ts'

describe('summary', () => {
  it('counts what was read', () => {
    const config = loadText(`
listeners: [{ address: "[::1]:80" }, { address: "unix:/run/a.sock" }]
admin: off
auth: { a: { type: basic, users: "\${FIXTURES}/users.htpasswd" } }
routes:
  - { match: { path: /a }, upstream: "builtin:echo" }
  - upstream: builtin:echo`)
    assert.equal(
      summary('a.yaml', config),
      'a.yaml is right: 2 routes, 2 upstreams, 1 auth check; listens on [::1]:80, unix:/run/a.sock; admin off',
    )
  })
})

describe('authFileProblems', () => {
  it('finds nothing where there are no checks', async () => {
    assert.equal(await authFileProblems(loadText(withRoute(''))), undefined)
  })

  it('finds nothing in right files, and leaves nothing open', async () => {
    const config = loadText(
      withRoute('auth: { a: { type: basic, users: "${FIXTURES}/users.htpasswd" } }'),
    )
    assert.equal(await authFileProblems(config), undefined)
  })

  it('tells the files whose content is wrong', async () => {
    const config = loadText(
      withRoute('auth: { a: { type: basic, users: "${FIXTURES}/keys.txt" } }'),
    )
    assert.match(String(await authFileProblems(config)), new RegExp(`${fixtures}/keys.txt`))
  })
})
