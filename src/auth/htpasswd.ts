/** Reads htpasswd files: bcrypt and {SHA} lines. Anything weaker or unknown is an error that says what to do. */

import { createHmac, randomBytes } from 'node:crypto'
import { genSaltSync, parseOptions } from '@node-rs/bcrypt'
import { ownLine, type Entry } from './entry-grant.ts'
import { isUserName } from './identity.ts'

export interface Password extends Entry {
  readonly scheme: 'bcrypt' | 'sha'
  /** bcrypt: the whole hash, as `$2b$10$...`. sha: the digest in base64. */
  readonly hash: string
}

export interface Users {
  readonly passwords: ReadonlyMap<string, Password>
  /**
   * No password fits it: it is checked for unknown users. Its cost is one of the file's, and the same for a name each time: the
   * time that it takes says nothing about who exists.
   */
  readonly dummyFor: (user: string) => Password
}

/** Hashes of a higher cost take more than some 5 s of a processor for each guess that anybody makes. */
const COST_MAX = 16

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
const SHA = /^\{SHA\}([A-Za-z0-9+/]{27}=)$/

/**
 * `user:hash` a line; a third part is a comment; lines that start with `#` and blank lines do not count.
 * Throws an Error that names the line and never repeats a hash.
 */
export function parseHtpasswd(text: string): Users {
  const passwords = new Map<string, Password>()
  const costs: number[] = []
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const entry = ownLine(line.trimEnd())
    if (entry === '' || entry.startsWith('#')) continue
    const wrong = (what: string) => new Error(`line ${index + 1}: ${what}`)
    const [user = '', hash] = entry.split(':')
    if (hash === undefined) throw wrong('expected user:hash')
    if (!isUserName(user))
      throw wrong('the user name is empty, too long, or has blanks at its ends')
    if (passwords.has(user)) throw wrong(`${user} has a line already`)
    const password = parseHash(user, hash)
    if (typeof password === 'string') throw wrong(password)
    passwords.set(user, password)
    if (password.scheme === 'bcrypt') costs.push(Number(password.hash.slice(4, 6)))
  }
  return { passwords, dummyFor: dummiesOf(costs) }
}

/** The password, or what is wrong with it. */
function parseHash(user: string, text: string): Password | string {
  const sha = SHA.exec(text)?.[1]
  if (sha !== undefined) return { user, scheme: 'sha', hash: sha }
  const cost = BCRYPT.exec(text)?.[1]
  if (cost === undefined) {
    return `${describeScheme(text)}; expected bcrypt ($2y$..., made by htpasswd -B) or {SHA}`
  }
  if (Number(cost) > COST_MAX) {
    return `a bcrypt cost of ${cost} takes too long for each check; at most ${COST_MAX}`
  }
  try {
    parseOptions(text)
  } catch {
    return 'the bcrypt hash is damaged: no password would fit it'
  }
  return { user, scheme: 'bcrypt', hash: text }
}

function describeScheme(text: string): string {
  if (text.startsWith('$apr1$')) return 'apr1 (MD5) is not supported'
  if (text.startsWith('{SSHA}')) return '{SSHA} is not supported'
  if (text.startsWith('{SHA}')) return '{SHA} goes with a digest of 28 characters'
  if (text.startsWith('$2')) return 'this is no whole bcrypt hash'
  if (/^\$[156y]\$/.test(text)) return 'crypt hashes are not supported'
  return 'plain and crypt passwords are not supported'
}

/** Of this process alone: the cost of a name that is not in the file cannot be told from outside. */
const NAME_KEY = randomBytes(32)

/** As many names have each cost as users of the file have it. */
function dummiesOf(costs: readonly number[]): Users['dummyFor'] {
  const none: Password = { user: '', scheme: 'sha', hash: '' }
  const dummies = new Map([...new Set(costs)].map((cost) => [cost, dummyPassword(cost)]))
  return (user) => {
    const number = createHmac('sha256', NAME_KEY).update(user).digest().readUInt32BE(0)
    const cost = costs[number % costs.length]
    return (cost === undefined ? undefined : dummies.get(cost)) ?? none
  }
}

/** A real salt and a digest of the right form, so that the whole work is done before the answer is no. */
function dummyPassword(cost: number): Password {
  return { user: '', scheme: 'bcrypt', hash: `${genSaltSync({ cost })}${'e'.repeat(30)}.` }
}
