import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hashText, pickFor } from '../../src/balance/pick.ts'
import type { BalanceConfig } from '../../src/config/config.ts'

interface Peer {
  readonly name: string
  readonly weight: number
  readonly seed: number
  inUse: number
  turn: number
}

function peer(name: string, weight = 1, inUse = 0): Peer {
  return { name, weight, inUse, seed: hashText(name), turn: 0 }
}

type Peers = readonly [Peer, ...Peer[]]

function isFilled(peers: readonly Peer[]): peers is Peers {
  return peers.length > 0
}

/** The names that a policy picks one after the other; nothing is held in between. */
function picks(policy: BalanceConfig['policy'], peers: Peers, count: number): string {
  const pick = pickFor(policy)
  return Array.from({ length: count }, (_, i) => pick(peers, `key-${i}`, Math.random).name).join(
    ' ',
  )
}

/** Numbers in [0, 1) that are the same in each run (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

describe('pickFor', () => {
  for (const policy of ['least-tunnels', 'round-robin', 'random-two', 'hash'] as const) {
    it(`${policy} picks the only candidate`, () => {
      assert.equal(picks(policy, [peer('a')], 3), 'a a a')
    })
  }

  describe('least-tunnels', () => {
    it('picks the candidate with the fewest in use', () => {
      assert.equal(
        picks('least-tunnels', [peer('a', 1, 3), peer('b', 1, 1), peer('c', 1, 2)], 2),
        'b b',
      )
    })

    it('counts what is in use by weight', () => {
      assert.equal(picks('least-tunnels', [peer('a', 1, 2), peer('b', 3, 5)], 1), 'b')
      assert.equal(picks('least-tunnels', [peer('a', 1, 1), peer('b', 3, 5)], 1), 'a')
    })

    it('lets equals take turns', () => {
      assert.equal(picks('least-tunnels', [peer('a'), peer('b'), peer('c')], 6), 'a b c a b c')
    })

    it('lets equals take turns by weight', () => {
      assert.equal(picks('least-tunnels', [peer('a', 2), peer('b', 1)], 6), 'a b a a b a')
    })

    it('does not let a candidate with more in use take part in the turns', () => {
      assert.equal(picks('least-tunnels', [peer('a', 1, 1), peer('b'), peer('c')], 4), 'b c b c')
    })

    it('fills endpoints up in proportion to their weights', () => {
      const peers: Peers = [peer('a', 1), peer('b', 2), peer('c', 3)]
      const pick = pickFor('least-tunnels')
      for (let i = 0; i < 600; i += 1) pick(peers, '', Math.random).inUse += 1
      assert.deepEqual(
        peers.map(({ inUse }) => inUse),
        [100, 200, 300],
      )
    })
  })

  describe('round-robin', () => {
    it('goes around by weight, without bursts, whatever is in use', () => {
      assert.equal(
        picks('round-robin', [peer('a', 5, 9), peer('b', 1), peer('c', 1)], 7),
        'a a b a c a a',
      )
    })

    it('goes on around those that are left, first with the one that has waited longest', () => {
      const [a, b, c] = [peer('a'), peer('b'), peer('c')]
      assert.equal(picks('round-robin', [a, b, c], 2), 'a b')
      assert.equal(picks('round-robin', [a, c], 6), 'c c a c a c')
    })
  })

  describe('random-two', () => {
    it('picks the less loaded of the two that were drawn', () => {
      const peers: Peers = [peer('a', 1, 2), peer('b', 1, 1), peer('c', 1, 0)]
      const pick = pickFor('random-two')
      const draw = (...numbers: number[]) => pick(peers, '', () => numbers.shift() ?? 0).name
      assert.equal(draw(0, 0), 'b')
      assert.equal(draw(0, 0.99), 'c')
      assert.equal(draw(0.99, 0), 'c')
      assert.equal(draw(0.5, 0), 'b')
    })

    it('never picks the most loaded one', () => {
      const peers: Peers = [peer('a', 1, 9), peer('b'), peer('c')]
      const pick = pickFor('random-two')
      const random = numbersFrom(1)
      const names = new Set(Array.from({ length: 500 }, () => pick(peers, '', random).name))
      assert.deepEqual([...names].toSorted(), ['b', 'c'])
    })

    it('draws heavier candidates more often', () => {
      const peers: Peers = [peer('a', 1), peer('b', 1), peer('c', 8)]
      const pick = pickFor('random-two')
      const random = numbersFrom(2)
      const heavy = Array.from({ length: 1000 }, () => pick(peers, '', random)).filter(
        ({ name }) => name === 'c',
      )
      assert.ok(heavy.length > 700, `${heavy.length} of 1000`)
    })

    it('survives a random number that rounds up to the sum of weights', () => {
      const peers: Peers = [peer('a'), peer('b')]
      assert.equal(pickFor('random-two')(peers, '', () => 1).name, 'b')
    })
  })

  describe('hash', () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.7`)
    const pick = pickFor('hash')
    const homeOf = (peers: Peers, key: string) => pick(peers, key, Math.random).name

    it('sends a key to the same endpoint whatever the order and the load', () => {
      const [a, b, c] = [peer('a'), peer('b', 1, 100), peer('c')]
      for (const key of keys.slice(0, 100)) {
        assert.equal(homeOf([a, b, c], key), homeOf([c, a, b], key))
      }
    })

    it('shares keys by weight', () => {
      const peers: Peers = [
        peer('http://one:80', 1),
        peer('http://two:80', 1),
        peer('http://six:80', 2),
      ]
      const counts = new Map(peers.map(({ name }) => [name, 0]))
      for (const key of keys) {
        const home = homeOf(peers, key)
        counts.set(home, (counts.get(home) ?? 0) + 1)
      }
      const shares = [...counts.values()].map((count) => count / keys.length)
      for (const [i, expected] of [0.25, 0.25, 0.5].entries()) {
        assert.ok(Math.abs((shares[i] ?? 0) - expected) < 0.02, shares.join(' '))
      }
    })

    it('moves only the keys of the endpoint that goes, and shares them among the others', () => {
      const peers = Array.from({ length: 5 }, (_, i) => peer(`http://chat-${i}:3000`))
      const gone = peers[2]
      const left = peers.filter((one) => one !== gone)
      assert.ok(isFilled(peers) && isFilled(left))
      const movedTo = new Map<string, number>()
      for (const key of keys) {
        const before = homeOf(peers, key)
        const after = homeOf(left, key)
        if (before === gone?.name) movedTo.set(after, (movedTo.get(after) ?? 0) + 1)
        else assert.equal(after, before)
      }
      assert.equal(movedTo.size, 4)
      for (const count of movedTo.values()) assert.ok(count > 400 && count < 600, `${count}`)
    })

    it('keeps its values, so that gateways of two releases agree', () => {
      assert.equal(hashText(''), 2872998923)
      assert.equal(hashText('http://chat-1:3000'), 1391294351)
    })
  })
})
