import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LocalAddresses } from '../../src/balance/local-addresses.ts'
import { noLocalAddress, Targets, type TcpTarget } from '../../src/handshake/targets.ts'

const V4 = '192.0.2.1'
const V6 = '2001:db8::1'

function shown(target: TcpTarget | undefined): string {
  return target === undefined ? 'none' : `${target.from ?? '*'} to ${target.host}`
}

describe('targets', () => {
  it('are the hosts in their order, from wherever the kernel says', () => {
    const targets = new Targets([V6, V4], 80, undefined)
    assert.deepEqual(targets.next(), { kind: 'tcp', host: V6, port: 80 })
    assert.equal(targets.left, 1)
    // With no address of ours there is no other one to connect from.
    assert.equal(shown(targets.after('EADDRNOTAVAIL')), `* to ${V4}`)
    assert.equal(shown(targets.after('ECONNREFUSED')), 'none')
  })

  for (const code of ['EADDRNOTAVAIL', 'EADDRINUSE']) {
    it(`are the same host from another address after ${code}, and then the next host`, () => {
      const local = new LocalAddresses(['10.0.0.5', '10.0.0.6', '2001:db8::5'])
      const targets = new Targets([V4, V6], 80, local)
      const seen = [targets.next(), targets.after(code), targets.after(code), targets.after(code)]
      assert.deepEqual(seen.map(shown), [
        `10.0.0.5 to ${V4}`,
        `10.0.0.6 to ${V4}`,
        `2001:db8::5 to ${V6}`,
        'none',
      ])
    })
  }

  it('are none after a failure that another host would meet as well', () => {
    const targets = new Targets([V4, V6], 80, undefined)
    targets.next()
    assert.equal(targets.after('EMFILE'), undefined)
  })

  it('are the next host after another failure', () => {
    const targets = new Targets([V4, '192.0.2.2'], 80, new LocalAddresses(['10.0.0.5', '10.0.0.6']))
    assert.equal(shown(targets.next()), `10.0.0.5 to ${V4}`)
    assert.equal(shown(targets.after('ECONNREFUSED')), '10.0.0.6 to 192.0.2.2')
    assert.equal(shown(targets.after(undefined)), 'none')
  })

  it('are no hosts of a family that we have no address of', () => {
    const targets = new Targets([V6, V4], 80, new LocalAddresses(['10.0.0.5']))
    assert.equal(targets.left, 1)
    assert.equal(shown(targets.next()), `10.0.0.5 to ${V4}`)
    const none = new Targets([V6], 80, new LocalAddresses(['10.0.0.5']))
    assert.equal(shown(none.next()), 'none')
    const { code, details } = noLocalAddress([V6])
    assert.equal(code, 'E_UPSTREAM_UNREACHABLE')
    assert.equal(details.cause, `localAddress has no address of the family of ${V6}`)
  })
})
