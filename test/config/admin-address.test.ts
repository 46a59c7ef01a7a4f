import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadText, problemsIn, withRoute } from './load-text.ts'

const env = { UPGATE_ADMIN_ADDRESS: '0.0.0.0:9090' }

function hostOf(yaml: string, environment = env): string | undefined {
  const { admin } = loadText(withRoute(yaml), environment)
  return admin?.address.kind === 'tcp' ? admin.address.host : undefined
}

describe('UPGATE_ADMIN_ADDRESS', () => {
  it('is the admin address of a file that has none', () => {
    assert.equal(hostOf(''), '0.0.0.0')
    assert.equal(hostOf('admin: { hosts: [gateway] }'), '0.0.0.0')
    assert.equal(hostOf('', { UPGATE_ADMIN_ADDRESS: '' }), '127.0.0.1')
  })

  it('is not that of a file that has one, or wants none', () => {
    assert.equal(hostOf('admin: { address: "127.0.0.2:9090" }'), '127.0.0.2')
    assert.equal(hostOf('admin: off'), undefined)
  })

  it('is told by its name when it is no address', () => {
    const [problem = ''] = problemsIn(withRoute(''), { UPGATE_ADMIN_ADDRESS: 'nowhere:99999999' })
    assert.match(problem, /admin\.address: UPGATE_ADMIN_ADDRESS: /)
  })
})
