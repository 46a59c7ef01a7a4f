/** The entries of `auth` as the file has them. */

import { z } from 'zod'

import type { NamePattern } from './config.ts'
import { fieldName, realm } from './fields.ts'
import { serviceUrl } from './network.ts'
import { choice, duration, file, flag, list, oneOrMore, regex, text, word } from './scalars.ts'
import { key, optional, required, section } from './section.ts'

const hmacAlgorithms = ['HS256', 'HS384', 'HS512'] as const
const publicAlgorithms = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
]
const algorithms = [...hmacAlgorithms, ...publicAlgorithms] as const

const algorithm = z
  .enum(algorithms, {
    error: (issue) =>
      typeof issue.input === 'string' && issue.input.toLowerCase() === 'none'
        ? 'none is no signature: everyone could make a token; expected an algorithm such as RS256'
        : `expected one of ${algorithms.join(', ')}`,
  })
  .meta({ title: 'algorithm' })

const tokenSourceMessage =
  'expected header, header:NAME, cookie:NAME, query:NAME or subprotocol:NAME'

/** `header` alone is `Authorization: Bearer`. */
const tokenSource = word(
  /^(?:header|(?:header|cookie|subprotocol):[!#$%&'*+.^_`|~0-9A-Za-z-]+|query:[^\s&=#]+)$/,
  tokenSourceMessage,
)
  .transform((value) => {
    const [where = '', name = 'Authorization'] = value.split(/:(.*)/s, 2)
    return { in: where as 'header' | 'cookie' | 'query' | 'subprotocol', name }
  })
  .meta({ title: 'token source' })

const claimValue = z
  .union([z.string(), z.number(), z.boolean()], {
    error: 'expected text, a number, true or false',
  })
  .meta({ title: 'text, number, true or false' })

const basic = section({
  type: required(z.literal('basic'), 'User name and password.'),
  users: required(file(), 'htpasswd file with bcrypt or {SHA} lines; read again when it changes.'),
  realm: key(realm(), 'upgate', 'What the browser shows when it asks.'),
  closeOnExpiry: key(
    flag(),
    true,
    'Closes tunnels whose user the file has no more, or with another password.',
  ),
})

const apiKey = section({
  type: required(z.literal('apiKey'), 'A key in a header field.'),
  header: key(fieldName(), 'X-Api-Key', 'The field that carries the key.'),
  keys: required(file(), 'File of name:sha256hex lines; read again when it changes.'),
  closeOnExpiry: key(flag(), true, 'Closes tunnels whose key the file has no more.'),
})

const jwt = section({
  type: required(z.literal('jwt'), 'A signed token.'),
  from: key(
    list(tokenSource, `a list; ${tokenSourceMessage}`, 1),
    ['header'],
    'Where the token is looked for, in order; "header" is Authorization: Bearer.',
  ),
  jwks: optional(serviceUrl(), 'URL of the key set. Give one of jwks, secret and publicKey.'),
  secret: optional(text('a secret'), 'Shared secret of at least 16 bytes, better ${FROM_ENV}.'),
  publicKey: optional(file(), 'PEM file (public key or certificate) or JWK file.'),
  algorithms: optional(
    list(algorithm, 'a list of algorithms, such as [RS256]', 1),
    'Signatures accepted; HS256 with a secret, else RS256, PS256, ES256 and EdDSA.',
  ),
  issuer: optional(
    oneOrMore(text('the issuer'), 'the issuer, or a list of issuers'),
    'The iss claim must be this, or one of these.',
  ),
  audience: optional(
    oneOrMore(text('the audience'), 'the audience, or a list of audiences'),
    'The aud claim must hold this, or one of these.',
  ),
  clockTolerance: key(
    duration({ zero: true }),
    '30s',
    'How far the clocks may differ when exp and nbf are checked.',
  ),
  claims: key(
    z.record(
      text('the name of a claim'),
      oneOrMore(claimValue, 'a value, or a list of accepted values').meta({
        description: 'Accepted values; a claim that is a list must hold one of them.',
      }),
      { error: 'expected a map from claims to accepted values' },
    ),
    {},
    'Each claim must have one of its values, else 403.',
  ),
  userClaim: key(text('the name of a claim'), 'sub', 'The claim that becomes X-Auth-User.'),
  realm: key(realm(), 'upgate', 'Named in the WWW-Authenticate field.'),
  closeOnExpiry: key(
    flag(),
    true,
    'Closes tunnels when their token ends: clockTolerance after its exp.',
  ),
})

const forward = section({
  type: required(z.literal('forward'), 'Another server decides, with 2xx for yes.'),
  url: required(serviceUrl(), 'The server that is asked, with a GET.'),
  copy: key(
    list(fieldName(), 'a list of header fields, such as [X-Auth-Request-User]'),
    [],
    'Fields of its 2xx answer that go to the upstream.',
  ),
  timeout: key(duration(), '5s', 'For its answer: 504 after it.'),
  userHeader: optional(fieldName(), 'Field of its 2xx answer that becomes X-Auth-User.'),
  recheck: key(
    duration({ off: true, minSeconds: 1 }),
    'off',
    'How often it is asked again about an open tunnel; the tunnel ends when it says no.',
  ),
  onRecheckError: key(
    choice(['keep', 'close']),
    'keep',
    'What becomes of a tunnel about which it cannot be asked again, after several tries.',
  ),
})

const patternMessage = 'expected text, in which * stands for anything, or { regex: ... }'

/** Of a name in a certificate. */
function namePattern(glob: z.ZodType<string, string>) {
  return z
    .union(
      [
        glob.transform((value): NamePattern => ({ kind: 'glob', glob: value })),
        section({
          regex: required(regex(), 'The whole name must match it, in RE2 syntax.'),
        }).transform((value): NamePattern => ({ kind: 'regex', regex: value.regex })),
      ],
      { error: patternMessage },
    )
    .meta({ title: 'text or { regex }' })
}

const clientCert = section({
  type: required(z.literal('clientCert'), "A certificate that a listener's clientCa has verified."),
  subject: optional(
    list(
      namePattern(text('a subject')),
      'a list of patterns, such as ["CN=*,OU=ops,O=Example"]',
      1,
    ),
    'One has to match the subject, written as CN=alice,OU=ops,O=Example.',
  ),
  san: optional(
    list(
      namePattern(
        word(
          /^(?:DNS|URI|email|IP):./,
          'expected a pattern that begins with DNS:, URI:, email: or IP:, such as DNS:*.example.com',
        ),
      ),
      'a list of patterns, such as ["DNS:*.example.com"]',
      1,
    ),
    'One has to match one of the alternative names, written as DNS:chat.example.com or URI:spiffe://example.com/chat.',
  ),
  user: key(
    choice(['cn', 'san', 'subject']),
    'cn',
    'What becomes X-Auth-User: the common name, the first alternative name, or all of the subject.',
  ),
})

/** One entry of `auth`. */
export const authEntry = z.discriminatedUnion('type', [basic, apiKey, jwt, forward, clientCert], {
  error: (issue) =>
    issue.code === 'invalid_union'
      ? 'expected basic, apiKey, jwt, forward or clientCert'
      : 'expected a map with type: basic, apiKey, jwt, forward or clientCert',
})

export type AuthEntry = z.output<typeof authEntry>
export type JwtEntry = Extract<AuthEntry, { type: 'jwt' }>

/** The algorithms for a kind of key when none are given. */
export function defaultAlgorithms(entry: JwtEntry): readonly string[] {
  return entry.secret === undefined ? ['RS256', 'PS256', 'ES256', 'EdDSA'] : ['HS256']
}

/** HS* take a secret, all others a public key: mixing them up is how tokens get forged with a public key. */
export function isHmac(algorithmName: string): boolean {
  return algorithmName.startsWith('HS')
}
