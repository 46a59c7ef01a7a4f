/** Where the running gateway's admin is, and what it takes to talk to it. */

import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import type { Address } from '../config/config.ts'
import type { Environment } from '../config/environment.ts'
import { formatAddress } from '../config/network.ts'
import { ConfigError, formatProblem } from '../config/problem.ts'
import { configSchema } from '../config/schema.ts'
import { readFailure } from '../config/read-file.ts'
import { readSource } from '../config/source.ts'
import type { Values } from './arguments.ts'
import { chooseConfigFile } from './config-file.ts'
import { Failure } from './failure.ts'

export interface AdminTarget {
  /** For messages. */
  readonly url: string
  readonly address: Address
  /** Set for https. */
  readonly tls: AdminTls | undefined
  readonly token: string | undefined
}

/** PEM; undefined where Node's authorities are trusted, and a certificate needs the name in the URL. */
export interface AdminTls {
  readonly ca: string | undefined
  /** The one certificate that is right, whatever name it has: that of the config file. */
  readonly pinned: string | undefined
}

const DEFAULT: AdminTarget = {
  url: 'http://127.0.0.1:9090',
  address: { kind: 'tcp', host: '127.0.0.1', port: 9090 },
  tls: undefined,
  token: undefined,
}

/** Throws a Failure when there is no admin to be found by what is given. */
export function findAdmin(values: Values, env: Environment): AdminTarget {
  const given = values.admin ?? textOf(env, 'UPGATE_ADMIN')
  const target = given === undefined ? ofConfig(values.config, env) : ofUrl(given, values.ca)
  // The token of a config is for the admin of that config alone.
  const token = values['token-file'] === undefined ? undefined : readToken(values['token-file'])
  return { ...target, token: token ?? textOf(env, 'UPGATE_ADMIN_TOKEN') ?? target.token }
}

function ofUrl(given: string, caFile: string | undefined): AdminTarget {
  if (given.startsWith('unix:/')) {
    const address = { kind: 'unix', path: given.slice('unix:'.length) } as const
    return { url: given, address, tls: undefined, token: undefined }
  }
  const text = given.includes('://') ? given : `http://${given}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.pathname === '/' && url.search === '' && url.username === ''
  if (!isPlain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Failure(
      2,
      `"${given}" is no place of an admin; expected http://host:port, https://host:port or unix:/path`,
    )
  }
  const isTls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port)
  const ca = caFile === undefined ? undefined : readText(caFile)
  return {
    url: url.origin,
    address: { kind: 'tcp', host, port },
    tls: isTls ? { ca, pinned: undefined } : undefined,
    token: undefined,
  }
}

function ofConfig(given: string | undefined, env: Environment): AdminTarget {
  const file = chooseConfigFile(given, env)
  if (file === undefined) return DEFAULT
  const admin = readAdmin(file, env)
  if (admin === 'off') {
    throw new Failure(
      3,
      `admin is off in ${file}: there is nobody to ask. Give another one with --admin URL.`,
    )
  }
  const address = reachable(admin.address)
  if (address.kind === 'tcp' && address.port === 0) {
    throw new Failure(2, `admin.address in ${file} has port 0: give the real one with --admin URL.`)
  }
  const { tls, token } = admin
  const pinned = tls && readText(resolve(dirname(resolve(file)), tls.cert))
  const scheme = tls === undefined ? 'http' : 'https'
  return {
    url: address.kind === 'unix' ? formatAddress(address) : `${scheme}://${formatAddress(address)}`,
    address,
    tls: pinned === undefined ? undefined : { ca: undefined, pinned },
    token,
  }
}

/** Of the rest of the file nothing needs to be right: an operator may be in the middle of changing it. */
function readAdmin(file: string, env: Environment) {
  try {
    const source = readSource(file, env)
    const { raw } = source
    const wrong = source.findings.filter(({ path }) => path[0] === 'admin')
    if (wrong.length > 0) throw new ConfigError(wrong.map((finding) => source.locate(finding)))
    const isMap = typeof raw === 'object' && raw !== null
    const parsed = configSchema.shape.admin.safeParse(
      (isMap && (raw as { admin?: unknown }).admin) || {},
    )
    if (parsed.success) return parsed.data
    const problems = parsed.error.issues.map(({ path, message: text }) =>
      source.locate({ path: ['admin', ...(path as (string | number)[])], text }),
    )
    throw new ConfigError(problems)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.problems.map((problem) => formatProblem(problem)).join('\n')
    throw new Failure(1, `${problems}\nSay where the admin is with --admin URL or UPGATE_ADMIN.`)
  }
}

/** The wildcard addresses are no place to go to. */
function reachable(address: Address): Address {
  if (address.kind === 'unix') return address
  const { host } = address
  if (host === '0.0.0.0') return { ...address, host: '127.0.0.1' }
  return host === '::' ? { ...address, host: '::1' } : address
}

function readToken(file: string): string {
  const token = readText(file).trim()
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new Failure(2, `${file} has no token: expected one word`)
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Failure(2, `${file} cannot be read: ${readFailure(error)}`)
  }
}

function textOf(env: Environment, name: string): string | undefined {
  const value = env[name]
  return value === '' ? undefined : value
}
