/** `match` of a route as the file has it. */

import { z } from 'zod'

import type { PathMatch } from './config.ts'
import { fieldName, method } from './fields.ts'
import { pathHint } from './hints.ts'
import { hostPattern } from './network.ts'
import { fail, list, oneOrMore, regex, text } from './scalars.ts'
import { key, optional, required, section } from './section.ts'

/** The path of a request, or the beginning of one. */
export const path = text('a path that starts with /')
  .transform((value, context) => {
    if (!value.startsWith('/')) return fail(context, 'expected a path that starts with /')
    if (/[?#]/.test(value)) return fail(context, 'a path has no ? and no #')
    if (!/^[\x21-\x7e]*$/.test(value)) {
      return fail(context, 'write other than printable ASCII characters as %XX')
    }
    const hint = pathHint(value)
    return hint === undefined ? value : fail(context, `has what would be taken as it is; ${hint}`)
  })
  .meta({ title: 'path' })

/** A path in the form in which requests are matched, so that what is written here can match at all. */
const matchPath = path.transform((value, context) =>
  /\/\/|\/\.{1,2}(?:\/|$)/.test(value)
    ? fail(context, 'can never match: paths are matched without "//", "/./" and "/../"')
    : value,
)

const valueMatch = z
  .union(
    [
      z.boolean(),
      text('a value'),
      section({ regex: required(regex(), 'The value must match it, in RE2 syntax.') }),
    ],
    { error: 'expected text, true (present), false (absent) or { regex: ... }' },
  )
  .meta({ title: 'text, true, false or { regex }' })

const pathMatch = z.union(
  [
    matchPath.transform((value): PathMatch => ({ kind: 'prefix', path: value })),
    section({
      exact: optional(matchPath, 'Only this path.'),
      regex: optional(regex(), 'The whole path must match it, in RE2 syntax.'),
    }).transform((value, context): PathMatch => {
      const { exact, regex: pattern } = value
      // An unknown key is told already, and is probably one of the two.
      if (context.issues.length > 0) return z.NEVER
      if (exact !== undefined && pattern === undefined) return { kind: 'exact', path: exact }
      if (pattern !== undefined && exact === undefined) return { kind: 'regex', regex: pattern }
      return fail(context, 'expected either exact or regex')
    }),
  ],
  { error: 'expected a path such as /ws, { exact: /ws } or { regex: "/ws/[0-9]+" }' },
)

/** The requests that a route is for. */
export const match = section({
  host: optional(
    oneOrMore(hostPattern(), 'a host or a list of hosts'),
    'A host or a list of them; *.example.com is any name below example.com. Every host if left out.',
  ),
  path: optional(
    pathMatch,
    'A prefix that ends where a segment ends, or one of exact and regex. Every path if left out.',
  ),
  methods: optional(
    list(method(), 'a list of methods, such as [GET, POST]', 1),
    'Every method if left out.',
  ),
  headers: key(
    z.record(fieldName(), valueMatch, {
      error: 'expected a map from header fields to text, true, false or { regex: ... }',
    }),
    {},
    'Fields a request must have: the value, true (present), false (absent) or { regex }.',
  ),
  query: key(
    z.record(text('the name of a parameter'), valueMatch, {
      error: 'expected a map from parameters to text, true, false or { regex: ... }',
    }),
    {},
    'Query parameters, likewise.',
  ),
})

export type MatchEntry = z.output<typeof match>
export type ValueMatchEntry = z.output<typeof valueMatch>
