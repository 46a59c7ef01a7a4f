/**
 * Ends tunnels when the credentials that let them in end:
 *
 *   an end that is known    at its second, by the wall clock as it is then
 *   an entry of a file      when the file has changed and has it no more
 *   a server that is asked  see `rechecks.ts`
 *
 * One timer serves them all, once a second, and only while a tunnel needs it. What no change and no time can end costs
 * nothing here; an entry of a file costs a place in a set.
 */

import type { Giver, Grant } from '../auth/grant.ts'
import { systemClock, type Clock } from './clock.ts'
import { DueList } from './due-list.ts'
import { Rechecks } from './rechecks.ts'
import type { RunningTunnel } from './tunnel.ts'

/** As much of a tunnel as this needs. */
export interface GrantedTunnel {
  grants: readonly Grant[]
  end(by: 'gateway', reason: 'expired'): void
}

export interface ExpiryOptions<Tunnel> {
  /**
   * An authorization server could not be asked again, however often it was tried; its config says what becomes of the
   * tunnel. Called for the first tunnel in a row, not for each.
   */
  readonly onRecheckFailed?: (tunnel: Tunnel, grant: Grant, cause: string) => void
  readonly clock?: Clock
  /** Numbers in [0, 1). */
  readonly random?: () => number
}

/** Tunnels that are asked, or told to end, before others have their turn. */
const SLICE = 256

/** The tunnels that a file lets in. */
interface Followers<Tunnel> {
  readonly tunnels: Set<Tunnel>
  readonly unfollow: () => void
  /** Those that have not been asked since its last change. */
  unasked: Iterator<Tunnel> | undefined
}

export class Expiry<Tunnel extends GrantedTunnel = RunningTunnel> {
  readonly #clock: Clock
  readonly #ends = new DueList<Tunnel>()
  /** Their end has come, and they are told so in slices. */
  readonly #overdue = new Set<Tunnel>()
  readonly #followers = new Map<Giver, Followers<Tunnel>>()
  readonly #rechecks: Rechecks<Tunnel>
  #stopTimer: (() => void) | undefined
  #isClosed = false

  constructor(options: ExpiryOptions<Tunnel> = {}) {
    const { clock = systemClock, random = Math.random, onRecheckFailed = ignore } = options
    this.#clock = clock
    this.#rechecks = new Rechecks<Tunnel>({
      clock,
      random,
      onEnded: endTunnel,
      onFailed: onRecheckFailed,
    })
  }

  /** Ends it, now or later, as its grants say. */
  watch(tunnel: Tunnel): void {
    if (this.#isClosed) return
    const { grants } = tunnel
    const endMs = endOf(grants)
    // Credentials may have ended while the handshake was under way.
    if (endMs <= this.#clock.wallMs() || !standsByFiles(grants)) {
      endTunnel(tunnel)
      return
    }
    if (endMs !== Infinity) this.#ends.add(secondOf(endMs), tunnel)
    for (const grant of grants) {
      if (goesByFile(grant)) this.#follow(grant.giver, tunnel)
      if (grant.recheck !== undefined) this.#rechecks.add(tunnel, grant)
    }
    this.#wake()
  }

  /** For a tunnel that has ended. */
  unwatch(tunnel: Tunnel): void {
    this.#forget(tunnel)
    for (const grant of tunnel.grants) this.#rechecks.delete(grant)
  }

  /** Puts other grants in place of those of an open tunnel, after a reload; see `grantsUnder`. */
  regrant(tunnel: Tunnel, grants: readonly Grant[]): void {
    if (grants === tunnel.grants) return
    this.#forget(tunnel)
    for (const grant of tunnel.grants) {
      if (!grants.includes(grant)) this.#rechecks.delete(grant)
    }
    tunnel.grants = grants
    this.watch(tunnel)
  }

  /** Ends nothing any more, and has no timer. */
  close(): void {
    this.#isClosed = true
    this.#stopTimer?.()
    this.#overdue.clear()
    this.#rechecks.clear()
    for (const { tunnels, unfollow } of this.#followers.values()) {
      unfollow()
      tunnels.clear()
    }
    this.#followers.clear()
  }

  /** Of all but rechecks. */
  #forget(tunnel: Tunnel): void {
    const endMs = endOf(tunnel.grants)
    if (endMs !== Infinity) this.#ends.delete(secondOf(endMs), tunnel)
    this.#overdue.delete(tunnel)
    for (const grant of tunnel.grants) if (goesByFile(grant)) this.#unfollow(grant.giver, tunnel)
  }

  #wake(): void {
    if (this.#stopTimer !== undefined || (this.#ends.isEmpty && this.#rechecks.isEmpty)) return
    const nowMs = this.#clock.wallMs()
    this.#stopTimer = this.#clock.after(secondOf(nowMs + 1) * 1000 - nowMs, this.#tick)
  }

  readonly #tick = (): void => {
    this.#stopTimer = undefined
    const isEnding = this.#overdue.size > 0
    for (const tunnel of this.#ends.take(Math.floor(this.#clock.wallMs() / 1000))) {
      this.#overdue.add(tunnel)
    }
    if (!isEnding) this.#endSome()
    this.#rechecks.tick()
    this.#wake()
  }

  readonly #endSome = (): void => {
    let count = 0
    for (const tunnel of this.#overdue) {
      if (count === SLICE) {
        setImmediate(this.#endSome)
        return
      }
      this.#overdue.delete(tunnel)
      endTunnel(tunnel)
      count += 1
    }
  }

  #follow(giver: Giver, tunnel: Tunnel): void {
    const known = this.#followers.get(giver)
    if (known !== undefined) {
      known.tunnels.add(tunnel)
      return
    }
    const followers: Followers<Tunnel> = {
      tunnels: new Set([tunnel]),
      unfollow: giver.onChange?.(() => this.#askAll(followers)) ?? ignore,
      unasked: undefined,
    }
    this.#followers.set(giver, followers)
  }

  #unfollow(giver: Giver, tunnel: Tunnel): void {
    const followers = this.#followers.get(giver)
    if (followers?.tunnels.delete(tunnel) !== true || followers.tunnels.size > 0) return
    followers.unfollow()
    this.#followers.delete(giver)
  }

  #askAll(followers: Followers<Tunnel>): void {
    const isAsking = followers.unasked !== undefined
    followers.unasked = followers.tunnels.values()
    if (!isAsking) this.#askSome(followers)
  }

  #askSome(followers: Followers<Tunnel>): void {
    for (let count = 0; count < SLICE; count += 1) {
      const next = followers.unasked?.next()
      if (next === undefined || next.done === true) {
        followers.unasked = undefined
        return
      }
      if (!standsByFiles(next.value.grants)) endTunnel(next.value)
    }
    setImmediate(() => this.#askSome(followers))
  }
}

/** Milliseconds since 1970; `Infinity` where no end is known. */
function endOf(grants: readonly Grant[]): number {
  let endMs = Infinity
  for (const { expiresAtMs } of grants) endMs = Math.min(endMs, expiresAtMs ?? Infinity)
  return endMs
}

/** The first whole second at which so many milliseconds have passed. */
function secondOf(ms: number): number {
  return Math.ceil(ms / 1000)
}

function goesByFile(grant: Grant): boolean {
  return 'stands' in grant && grant.giver.onChange !== undefined
}

function standsByFiles(grants: readonly Grant[]): boolean {
  return grants.every((grant) => !goesByFile(grant) || grant.stands?.() !== false)
}

function endTunnel(tunnel: GrantedTunnel): void {
  tunnel.end('gateway', 'expired')
}

function ignore(): void {}
