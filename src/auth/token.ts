/**
 * Finds the token of a request in the places that a jwt check names, and tells which parts of the request must not go to
 * an upstream because a token is, or may be, in them.
 */

import type { TokenSource } from '../config/config.ts'
import type { RequestFacts } from '../request/facts.ts'
import { cookieValues, fieldValues, listItems } from '../request/headers.ts'
import { queryValues } from '../request/query.ts'
import { nothingHidden, type Hidden } from './identity.ts'

export interface TokenSearch {
  /** The token of the first source that has one. */
  readonly token: string | undefined
  /** Why there is no token although one was sent. */
  readonly wrong: string | undefined
  /** Of all sources, not only of the one that had the token. */
  readonly hidden: Hidden
}

const TOKEN_CHARS_MAX = 16 * 1024

/** Kubernetes' form of a token in a subprotocol: it goes in base64url, since its tokens may be any text. */
const KUBERNETES_NAME = 'base64url.bearer.authorization.k8s.io'

export class TokenReader {
  readonly #sources: readonly TokenSource[]
  readonly #markers: readonly string[]
  /** For requests without a token in a subprotocol. */
  readonly #hiddenAlways: Hidden

  constructor(sources: readonly TokenSource[]) {
    this.#sources = sources.map((source) =>
      source.in === 'header' ? { in: 'header', name: source.name.toLowerCase() } : source,
    )
    this.#markers = sources.filter((source) => source.in === 'subprotocol').map(({ name }) => name)
    const hiddenQuery = sources.filter((source) => source.in === 'query').map(({ name }) => name)
    this.#hiddenAlways = Object.freeze({
      ...nothingHidden,
      hiddenQuery: Object.freeze(hiddenQuery),
    })
  }

  /** Never throws. */
  read(facts: RequestFacts): TokenSearch {
    const carried = this.#subprotocols(facts)
    const hidden = this.#hiddenBy(carried)
    for (const source of this.#sources) {
      const values =
        source.in === 'subprotocol'
          ? tokensUnder(carried, source.name)
          : plainTokens(facts, source.in, source.name)
      const token = values[0]
      if (token === undefined) continue
      const place = `${source.in} ${source.name}`
      // RFC 6750 2.2 and 2.3 know one token: of two, another reader of the request may take the other.
      if (values.length > 1)
        return { token: undefined, wrong: `several tokens in ${place}`, hidden }
      if (token.length > TOKEN_CHARS_MAX) {
        return { token: undefined, wrong: `a token of more than 16 KiB in ${place}`, hidden }
      }
      return { token, wrong: undefined, hidden }
    }
    return { token: undefined, wrong: undefined, hidden }
  }

  /** What may carry a token, for a request that this check need not decide. Never throws. */
  hidden(facts: RequestFacts): Hidden {
    return this.#hiddenBy(this.#subprotocols(facts))
  }

  #subprotocols(facts: RequestFacts): readonly Carried[] {
    if (this.#markers.length === 0) return []
    const items = listItems(fieldValues(facts.fields, 'sec-websocket-protocol'))
    return items.length === 0 ? [] : carriedTokens(items, this.#markers)
  }

  #hiddenBy(carried: readonly Carried[]): Hidden {
    if (carried.length === 0) return this.#hiddenAlways
    return {
      hiddenQuery: this.#hiddenAlways.hiddenQuery,
      hiddenSubprotocols: carried.flatMap(({ items }) => items),
      markerSubprotocol: carried.find(({ markerOffered }) => markerOffered)?.name,
    }
  }
}

/** A token among the offered subprotocols. */
interface Carried {
  readonly name: string
  readonly token: string
  /** What it took up: the marker and the token, or the one item that is both. */
  readonly items: readonly string[]
  readonly markerOffered: boolean
}

/**
 * Three forms for the name `bearer`: the item `bearer` with the token behind it; `bearer.TOKEN`; and, for Kubernetes'
 * name, the latter with the token in base64url.
 */
function carriedTokens(items: readonly string[], names: readonly string[]): readonly Carried[] {
  const carried: Carried[] = []
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index] as string
    const next = items[index + 1]
    const name = names.find((candidate) => item === candidate || item.startsWith(`${candidate}.`))
    if (name === undefined) continue
    if (item !== name) {
      const rest = item.slice(name.length + 1)
      const token =
        name === KUBERNETES_NAME ? Buffer.from(rest, 'base64url').toString('utf8') : rest
      carried.push({ name, token, items: [item], markerOffered: items.includes(name) })
    } else if (next !== undefined && !next.startsWith(`${name}.`)) {
      carried.push({ name, token: next, items: [item, next], markerOffered: true })
      index += 1
    }
  }
  return carried
}

function tokensUnder(carried: readonly Carried[], name: string): readonly string[] {
  return carried.filter((entry) => entry.name === name).map(({ token }) => token)
}

function plainTokens(
  facts: RequestFacts,
  place: 'header' | 'cookie' | 'query',
  name: string,
): readonly string[] {
  if (place === 'cookie') return nonEmpty(cookieValues(facts.fields, name))
  if (place === 'query') return facts.query === '' ? [] : nonEmpty(queryValues(facts.query, name))
  const values = nonEmpty(fieldValues(facts.fields, name))
  if (name === 'authorization') return bearerTokens(values)
  return values.map((value) => bearerToken(value) ?? value)
}

/** Empty values are no tokens. */
function nonEmpty(values: readonly string[]): readonly string[] {
  return values.filter((value) => value !== '')
}

/** Other schemes are other checks' credentials, but two Authorization fields are never right. */
function bearerTokens(values: readonly string[]): readonly string[] {
  const tokens = values.map(bearerToken)
  if (tokens.every((token) => token === undefined)) return []
  return tokens.map((token) => token ?? '')
}

function bearerToken(value: string): string | undefined {
  return value.slice(0, 7).toLowerCase() === 'bearer ' ? value.slice(7).trim() : undefined
}
