/**
 * Runs a route's checks on a request's head: client address, origin, then each group of `auth` in the order of the
 * file. It answers at once, without a promise, when no check has to wait.
 */

import type { RouteConfig } from '../config/config.ts'
import { catalogue, Refusal } from '../errors.ts'
import { addressSet, type AddressSet } from '../request/address-set.ts'
import type { RequestFacts } from '../request/facts.ts'
import { checkAddress } from './address.ts'
import { anonymous, USER_FIELD, type Check, type Identity } from './identity.ts'
import { foldIdentities, hideMore } from './merge.ts'
import { checkOrigin, compileOrigins } from './origin.ts'

/** What a route asks of a request. */
export interface Policy {
  readonly allowed: AddressSet | undefined
  readonly origins: ReadonlySet<string> | undefined
  /** Every group must pass; a group passes when one of its checks does. */
  readonly groups: readonly (readonly Check[])[]
  /** Checks that may be skipped, since another one of their group passed, and whose tokens must be hidden all the same. */
  readonly hiders: readonly Check[]
  /** Lower-case names of the fields that no client may send to an upstream. */
  readonly ownFields: readonly string[]
}

export interface Tried {
  readonly check: string
  /** `error`: the check could not be made. */
  readonly result: 'pass' | 'deny' | 'error'
}

export interface AuthOutcome {
  /** A Refusal may hold another server's answer with an unread body; see `createForwardCheck`. */
  readonly outcome: Identity | Refusal
  /** In the order in which they were made. */
  readonly tried: readonly Tried[]
}

/** Clients have these for reasons of their own: only a route whose check makes them removes them. */
const clientsOwn: ReadonlySet<string> = new Set(['authorization', 'cookie'])

const nothingAsked: AuthOutcome = Object.freeze({ outcome: anonymous, tried: Object.freeze([]) })

/** Throws for a check that is not in `checks`: the configuration's own check comes before. */
export function compilePolicy(route: RouteConfig, checks: ReadonlyMap<string, Check>): Policy {
  const groups = route.auth.map((names) => names.map((name) => checkNamed(name, route, checks)))
  const used = groups.flat()
  const foreign = [...checks.values()].filter((check) => !used.includes(check))
  return Object.freeze({
    allowed: route.allow === undefined ? undefined : addressSet(route.allow),
    origins: route.origins === undefined ? undefined : compileOrigins(route.origins),
    groups,
    hiders: groups
      .filter((group) => group.length > 1)
      .flat()
      .filter(mayHide),
    ownFields: [
      ...new Set([
        USER_FIELD,
        ...used.flatMap((check) => check.ownFields),
        ...foreign.flatMap((check) => check.ownFields).filter((name) => !clientsOwn.has(name)),
      ]),
    ],
  })
}

function checkNamed(name: string, route: RouteConfig, checks: ReadonlyMap<string, Check>): Check {
  const check = checks.get(name)
  if (check === undefined) throw new Error(`route ${route.name}: no check named ${name}`)
  return check
}

function mayHide(check: Check): boolean {
  return check.hidden !== undefined
}

/**
 * Refusals: E_ADDRESS_DENIED, E_ORIGIN_DENIED (when `asksUpgrade`), and those of the checks. In a group of several
 * checks of which none passes, the refusal is the one that helps most: that a check could not be made; else the answer
 * of an authorization server; else that good credentials lack a claim; else 401 with the challenges of all.
 */
export function authorize(
  policy: Policy,
  facts: RequestFacts,
  asksUpgrade: boolean,
): AuthOutcome | Promise<AuthOutcome> {
  const { allowed, origins, groups } = policy
  const refusal =
    (allowed === undefined ? undefined : checkAddress(allowed, facts)) ??
    (origins === undefined || !asksUpgrade ? undefined : checkOrigin(origins, facts))
  if (refusal !== undefined) return { outcome: refusal, tried: nothingAsked.tried }
  return groups.length === 0 ? nothingAsked : new Run(policy, facts).go()
}

/** One request's way through the groups. */
class Run {
  readonly #policy: Policy
  readonly #facts: RequestFacts
  readonly #tried: Tried[] = []
  readonly #identities: Identity[] = []
  #group = 0
  #index = 0
  /** Of the group that is under way. */
  #refusals: Refusal[] = []

  constructor(policy: Policy, facts: RequestFacts) {
    this.#policy = policy
    this.#facts = facts
  }

  go(): AuthOutcome | Promise<AuthOutcome> {
    for (;;) {
      const group = this.#policy.groups[this.#group]
      if (group === undefined) return this.#passed()
      const check = group[this.#index]
      if (check === undefined) return this.#refused()
      const result = check.check(this.#facts)
      if (result instanceof Promise) return this.#wait(check, result)
      this.#take(check, result)
    }
  }

  async #wait(check: Check, pending: Promise<Identity | Refusal>): Promise<AuthOutcome> {
    this.#take(check, await pending)
    return this.go()
  }

  #take(check: Check, result: Identity | Refusal): void {
    this.#tried.push({ check: check.name, result: resultWord(result) })
    if (result instanceof Refusal) {
      this.#refusals.push(result)
      this.#index += 1
      return
    }
    this.#identities.push(result)
    this.#refusals = []
    this.#group += 1
    this.#index = 0
  }

  #passed(): AuthOutcome {
    const identity = foldIdentities(this.#identities)
    const outcome = hideMore(identity, this.#policy.hiders, this.#facts)
    return { outcome, tried: this.#tried }
  }

  #refused(): AuthOutcome {
    const outcome = mostHelpful(this.#refusals)
    return { outcome, tried: this.#tried }
  }
}

function resultWord(result: Identity | Refusal): Tried['result'] {
  if (!(result instanceof Refusal)) return 'pass'
  return isError(result) ? 'error' : 'deny'
}

function isError(refusal: Refusal): boolean {
  return catalogue[refusal.code].source === 'gateway'
}

function mostHelpful(refusals: readonly Refusal[]): Refusal {
  const [only] = refusals
  if (only !== undefined && refusals.length === 1) return only
  return (
    refusals.find(isError) ??
    refusals.find(({ details }) => details.answer !== undefined) ??
    refusals.find(({ code }) => catalogue[code].status === 403) ??
    unauthorized(refusals)
  )
}

/** RFC 9110 11.6.1: a 401 may hold several challenges; the client takes one that it can meet. */
function unauthorized(refusals: readonly Refusal[]): Refusal {
  const isWrong = refusals.some(({ code }) => code === 'E_AUTH_INVALID')
  const causes = refusals.flatMap(({ details }) => details.cause ?? [])
  return new Refusal(isWrong ? 'E_AUTH_INVALID' : 'E_AUTH_MISSING', {
    fields: refusals.flatMap(({ details }) => details.fields ?? []),
    ...(causes.length === 0 ? {} : { cause: causes.join('; ') }),
  })
}
