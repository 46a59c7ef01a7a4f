import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { atOnce } from '../../src/slices.ts'
import type { Grant } from '../../src/auth/grant.ts'
import type { Check } from '../../src/auth/identity.ts'
import type { RouteConfig } from '../../src/config/config.ts'
import type { RouteParts } from '../../src/plane.ts'
import { Reconciler, survey } from '../../src/tunnels/reconcile.ts'
import type { RunningTunnel } from '../../src/tunnels/tunnel.ts'
import { fakeCheck } from '../auth/fake-check.ts'

interface PartsOptions {
  readonly onReload?: RouteConfig['onReload']
  readonly endpoints?: readonly string[]
  readonly groups?: readonly (readonly Check[])[]
}

function parts({ onReload = 'close', endpoints = ['http://a'], groups = [] }: PartsOptions = {}) {
  return {
    config: { onReload },
    policy: { allowed: undefined, origins: undefined, groups },
    pool: { endpoints: endpoints.map((url) => ({ url })) },
  } as unknown as RouteParts
}

function routes(named: Readonly<Record<string, RouteParts>>) {
  for (const [identity, { config }] of Object.entries(named)) Object.assign(config, { identity })
  return { partsLike: ({ identity }: RouteConfig) => named[identity] }
}

class FakeTunnel {
  readonly reported = { clientIp: '127.0.0.1' }
  readonly origin = undefined
  readonly route: string
  parts: RouteParts
  endpoint = { url: 'http://a' }
  grants: readonly Grant[]
  isEnding = false
  told: string | undefined

  constructor(route: string, under = parts(), grants: readonly Grant[] = []) {
    this.route = route
    this.parts = { ...under, config: { ...under.config, identity: route } }
    this.grants = grants
  }

  adopt(under: RouteParts, endpoint: { url: string }, grants: readonly Grant[]): void {
    this.parts = under
    this.endpoint = endpoint
    this.grants = grants
  }

  end(by: string, reason: string): void {
    assert.equal(this.told, undefined)
    this.isEnding = true
    this.told = `${by} ${reason}`
  }
}

function open(...tunnels: FakeTunnel[]): RunningTunnel[] {
  return tunnels as unknown as RunningTunnel[]
}

/** Moves the clock by hand. */
function clock(t: TestContext): (ms: number) => void {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 })
  t.mock.method(performance, 'now', () => Date.now())
  return (ms) => {
    for (let left = ms; left > 0; left -= 1) t.mock.timers.tick(1)
  }
}

describe('survey', () => {
  it('counts tunnels without a place by their route, and changes nothing', () => {
    const before = parts()
    const tunnels = [
      new FakeTunnel('same', before),
      new FakeTunnel('gone', before),
      new FakeTunnel('gone', before),
      new FakeTunnel('moved', before),
      new FakeTunnel('kept', parts({ onReload: 'keep' })),
    ]
    const under = tunnels.map((tunnel) => tunnel.parts)
    const next = routes({ same: parts(), moved: parts({ endpoints: ['http://b'] }) })
    const { closing, kept } = atOnce(survey(open(...tunnels), next))
    assert.deepEqual([Object.fromEntries(closing), kept], [{ gone: 2, moved: 1 }, 1])
    assert.ok(tunnels.every((tunnel) => tunnel.told === undefined))
    assert.ok(tunnels.every((tunnel, index) => tunnel.parts === under[index]))
  })

  it('leaves out those that were told to end', () => {
    const tunnel = new FakeTunnel('gone')
    tunnel.isEnding = true
    assert.equal(atOnce(survey(open(tunnel), routes({}))).closing.size, 0)
  })
})

describe('Reconciler', () => {
  it('gives a tunnel the parts of its route, its endpoint and its grants in the new config', () => {
    const old = fakeCheck('old', () => assert.fail())
    const grant: Grant = { check: 'c', giver: old, user: 'u', expiresAtMs: undefined }
    const renewed = { ...grant }
    const check = fakeCheck('c', () => assert.fail(), {
      renew: (known) => (known === grant ? renewed : undefined),
    })
    const next = parts({ endpoints: ['http://b', 'http://a'], groups: [[check]] })
    const tunnel = new FakeTunnel('r', parts(), [grant])
    const { closing, kept } = atOnce(
      new Reconciler().reconcile(open(tunnel), routes({ r: next }), 0),
    )
    assert.deepEqual([closing.size, kept], [0, 0])
    assert.equal(tunnel.parts, next)
    assert.equal(tunnel.endpoint, next.pool.endpoints[1])
    assert.deepEqual(tunnel.grants, [renewed])
    assert.equal(tunnel.grants[0], renewed)
  })

  it('closes one whose credentials no check knows', () => {
    const stranger = fakeCheck('stranger', () => assert.fail())
    const next = routes({ r: parts({ groups: [[stranger]] }) })
    const tunnel = new FakeTunnel('r')
    assert.deepEqual(
      [...atOnce(new Reconciler().reconcile(open(tunnel), next, 0)).closing],
      [['r', 1]],
    )
    assert.equal(tunnel.told, 'gateway reload')
  })

  it('does what the new route says, and the old one where there is no new one', () => {
    const keep = parts({ onReload: 'keep' })
    const moved = { endpoints: ['http://b'] }
    const tunnels = {
      keptByNew: new FakeTunnel('keptByNew'),
      closedByNew: new FakeTunnel('closedByNew', keep),
      keptByOld: new FakeTunnel('keptByOld', keep),
    }
    const next = routes({
      keptByNew: parts({ ...moved, onReload: 'keep' }),
      closedByNew: parts(moved),
    })
    const { kept } = atOnce(new Reconciler().reconcile(open(...Object.values(tunnels)), next, 0))
    assert.equal(kept, 2)
    assert.equal(tunnels.closedByNew.told, 'gateway reload')
    assert.deepEqual([tunnels.keptByNew.told, tunnels.keptByOld.told], [undefined, undefined])
    assert.equal(tunnels.keptByNew.endpoint.url, 'http://a')
  })

  it('closes evenly over the time', (t) => {
    const advance = clock(t)
    const tunnels = Array.from({ length: 5 }, () => new FakeTunnel('gone'))
    const told = (): number => tunnels.filter((tunnel) => tunnel.told !== undefined).length
    atOnce(new Reconciler().reconcile(open(...tunnels), routes({}), 5000))
    assert.equal(told(), 1)
    advance(2500)
    assert.equal(told(), 3)
    advance(2500)
    assert.equal(told(), 5)
  })

  it('closes each once, and by the time of the first reload that had no place for it', (t) => {
    const advance = clock(t)
    const reconciler = new Reconciler()
    const tunnels = Array.from({ length: 3 }, () => new FakeTunnel('gone'))
    atOnce(reconciler.reconcile(open(...tunnels), routes({}), 3000))
    for (let turn = 1; turn <= 3; turn += 1) {
      advance(1000)
      atOnce(reconciler.reconcile(open(...tunnels), routes({}), 3000))
    }
    assert.ok(tunnels.every((tunnel) => tunnel.told === 'gateway reload'))
  })

  it('spares one that has its place back', (t) => {
    const advance = clock(t)
    const reconciler = new Reconciler()
    const tunnels = Array.from({ length: 3 }, () => new FakeTunnel('r'))
    atOnce(reconciler.reconcile(open(...tunnels), routes({}), 3000))
    atOnce(reconciler.reconcile(open(...tunnels), routes({ r: parts() }), 3000))
    advance(5000)
    assert.equal(tunnels.filter(({ told }) => told === undefined).length, 2)
  })

  it('settles a tunnel that came late at once', () => {
    const reconciler = new Reconciler()
    const [gone, here] = [new FakeTunnel('gone'), new FakeTunnel('here')]
    const next = parts()
    for (const tunnel of open(gone, here)) reconciler.settle(tunnel, routes({ here: next }))
    assert.deepEqual([gone.told, here.told], ['gateway reload', undefined])
    assert.equal(here.parts, next)
  })

  it('closes nothing after its stop', (t) => {
    const advance = clock(t)
    const reconciler = new Reconciler()
    const tunnels = Array.from({ length: 3 }, () => new FakeTunnel('gone'))
    atOnce(reconciler.reconcile(open(...tunnels), routes({}), 3000))
    reconciler.stop()
    advance(5000)
    assert.equal(tunnels.filter(({ told }) => told === undefined).length, 2)
  })
})
