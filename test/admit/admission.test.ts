import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Admission } from '../../src/admit/admission.ts'
import type { Lease } from '../../src/admit/admission.ts'
import type { LimitsConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import { routeConfig } from '../support/route-config.ts'

const unlimited: LimitsConfig = {
  tunnels: Infinity,
  tunnelsPerClient: Infinity,
  handshakesPerSecond: Infinity,
  requestsPerSecond: Infinity,
}

function admissionWith(limits: Partial<LimitsConfig>): Admission {
  return new Admission(routeConfig({ limits: { ...unlimited, ...limits } }))
}

/** The lease of an admission that answers without a promise. */
function leased(result: ReturnType<Admission['admitTunnel']>): Lease {
  assert.ok(!(result instanceof Promise), 'answers synchronously')
  assert.ok(!(result instanceof Refusal), 'is admitted')
  return result
}

function refused(result: unknown, code: string): Refusal {
  assert.ok(result instanceof Refusal, 'is refused')
  assert.equal(result.code, code)
  return result
}

describe('Admission', () => {
  describe('tunnels', () => {
    it('admits without limits and without a promise', () => {
      const admission = admissionWith({})
      leased(admission.admitTunnel('192.0.2.1'))
      assert.equal(admission.admitRequest('192.0.2.1'), undefined)
      assert.equal(admission.tunnels, 1)
    })

    it('answers 503 with Retry-After when the route is full, and admits again when a tunnel ends', () => {
      const admission = admissionWith({ tunnels: 1 })
      const lease = leased(admission.admitTunnel('192.0.2.1'))
      const refusal = refused(admission.admitTunnel('192.0.2.2'), 'E_ROUTE_FULL')
      assert.equal(refusal.status, 503)
      assert.equal(refusal.details.retryAfterSeconds, 5)
      lease[Symbol.dispose]()
      leased(admission.admitTunnel('192.0.2.2'))
    })

    it('answers 429 with Retry-After when the client is full, and admits another client', () => {
      const admission = admissionWith({ tunnelsPerClient: 2 })
      leased(admission.admitTunnel('192.0.2.1'))
      const second = leased(admission.admitTunnel('192.0.2.1'))
      const refusal = refused(admission.admitTunnel('192.0.2.1'), 'E_CLIENT_FULL')
      assert.equal(refusal.status, 429)
      assert.equal(refusal.details.retryAfterSeconds, 5)
      leased(admission.admitTunnel('192.0.2.2'))
      second[Symbol.dispose]()
      leased(admission.admitTunnel('192.0.2.1'))
    })

    it('counts the addresses of one /64 together', () => {
      const admission = admissionWith({ tunnelsPerClient: 1 })
      leased(admission.admitTunnel('2001:db8::1'))
      refused(admission.admitTunnel('2001:db8::ffff:1'), 'E_CLIENT_FULL')
      leased(admission.admitTunnel('2001:db8:0:1::1'))
    })

    it('gives a place back once, however often its lease is disposed of', () => {
      const admission = admissionWith({ tunnels: 2 })
      const lease = leased(admission.admitTunnel('192.0.2.1'))
      leased(admission.admitTunnel('192.0.2.1'))
      lease[Symbol.dispose]()
      lease[Symbol.dispose]()
      assert.equal(admission.tunnels, 1)
      assert.equal(admission.clients, 1)
    })

    it('holds nothing after a refusal', () => {
      const admission = admissionWith({ tunnels: 2, tunnelsPerClient: 1 })
      leased(admission.admitTunnel('192.0.2.1'))
      refused(admission.admitTunnel('192.0.2.1'), 'E_CLIENT_FULL')
      assert.equal(admission.tunnels, 1)
      leased(admission.admitTunnel('192.0.2.2'))
      refused(admission.admitTunnel('192.0.2.3'), 'E_ROUTE_FULL')
      assert.equal(admission.clients, 2)
    })

    it('forgets clients whose tunnels have all ended', () => {
      const admission = admissionWith({})
      const leases = Array.from({ length: 100 }, (_, i) =>
        leased(admission.admitTunnel(`192.0.2.${i}`)),
      )
      assert.equal(admission.clients, 100)
      for (const lease of leases) lease[Symbol.dispose]()
      assert.equal(admission.clients, 0)
      assert.equal(admission.tunnels, 0)
    })
  })

  describe('rates', () => {
    it('answers 429 when a client asks for too many upgrades in a second, and admits it in the next', async (t) => {
      t.mock.timers.enable({ apis: ['Date', 'setTimeout'] })
      const admission = admissionWith({ handshakesPerSecond: 2 })
      assert.equal(await admission.admitHandshake('192.0.2.1'), undefined)
      t.mock.timers.tick(400)
      assert.equal(await admission.admitHandshake('192.0.2.1'), undefined)
      const refusal = refused(await admission.admitHandshake('192.0.2.1'), 'E_RATE_LIMIT')
      assert.equal(refusal.status, 429)
      assert.equal(refusal.details.retryAfterSeconds, 1)
      assert.equal(await admission.admitHandshake('192.0.2.2'), undefined)
      t.mock.timers.tick(600)
      assert.equal(await admission.admitHandshake('192.0.2.1'), undefined)
    })

    it('counts plain requests apart from upgrades', async () => {
      const admission = admissionWith({ requestsPerSecond: 1 })
      assert.equal(await admission.admitRequest('192.0.2.1'), undefined)
      refused(await admission.admitRequest('192.0.2.1'), 'E_RATE_LIMIT')
      assert.equal(admission.admitHandshake('192.0.2.1'), undefined)
    })

    it('does not keep the process alive', async () => {
      const admission = admissionWith({ handshakesPerSecond: 5, requestsPerSecond: 5 })
      await admission.admitHandshake('192.0.2.1')
      await admission.admitRequest('192.0.2.1')
      assert.deepEqual(
        process.getActiveResourcesInfo().filter((name) => name === 'Timeout'),
        [],
      )
    })
  })

  describe('reconfigure', () => {
    it('keeps open tunnels counted under new limits', () => {
      const admission = admissionWith({})
      const first = leased(admission.admitTunnel('192.0.2.1'))
      leased(admission.admitTunnel('192.0.2.1'))
      admission.reconfigure({ ...unlimited, tunnelsPerClient: 2 })
      refused(admission.admitTunnel('192.0.2.1'), 'E_CLIENT_FULL')
      first[Symbol.dispose]()
      leased(admission.admitTunnel('192.0.2.1'))
    })

    it('keeps what a client has used of its second when the rate changes', async () => {
      const admission = admissionWith({ requestsPerSecond: 1 })
      assert.equal(await admission.admitRequest('192.0.2.1'), undefined)
      admission.reconfigure({ ...unlimited, requestsPerSecond: 2 })
      assert.equal(await admission.admitRequest('192.0.2.1'), undefined)
      refused(await admission.admitRequest('192.0.2.1'), 'E_RATE_LIMIT')
    })

    it('is synchronous again when a rate is taken away', () => {
      const admission = admissionWith({ handshakesPerSecond: 1 })
      admission.reconfigure(unlimited)
      assert.equal(admission.admitHandshake('192.0.2.1'), undefined)
    })
  })
})
