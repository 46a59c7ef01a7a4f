/** The rules of `listeners` that go beyond one key. */

import { isIPv6 } from 'node:net'
import { createSecureContext } from 'node:tls'

import type { Listener, ListenerTls } from './listener-schema.ts'
import type { Part, Parts } from './parts.ts'
import type { Finding, Path } from './problem.ts'

export function listenerFindings({ path, value }: Part<Listener>): Finding[] {
  return [
    ...socketFindings(path, value),
    ...plainFindings(path, value),
    ...(value.tls === undefined ? [] : cipherFindings([...path, 'tls'], value.tls)),
  ]
}

/** Options that the address cannot have. */
function socketFindings(path: Path, listener: Listener): Finding[] {
  const { address, reusePort, ipv6Only, mode, owner } = listener
  const findings: Finding[] = []
  const find = (key: string, isSet: boolean, text: string): void => {
    if (isSet) findings.push({ path: [...path, key], text })
  }
  const isSystemd = address.kind === 'systemd'
  const whose = isSystemd ? 'is for the .socket unit to say' : undefined
  const isIPv6Address = address.kind === 'tcp' && isIPv6(address.host)
  find('reusePort', reusePort && address.kind !== 'tcp', whose ?? 'is for addresses with a port')
  find('ipv6Only', ipv6Only && !isIPv6Address, whose ?? 'is for IPv6 addresses, such as [::]:8080')
  const isUnix = address.kind === 'unix'
  find('mode', mode !== undefined && !isUnix, whose ?? 'is for unix sockets')
  find('owner', owner !== undefined && !isUnix, whose ?? 'is for unix sockets')
  return findings
}

/** What a listener with TLS has in another way, or for good. */
function plainFindings(path: Path, { tls, redirect, h2c }: Listener): Finding[] {
  if (tls === undefined) return []
  const findings: Finding[] = []
  if (redirect !== undefined) {
    const text = 'is for a listener without tls: its clients speak https already'
    findings.push({ path: [...path, 'redirect'], text })
  }
  if (h2c) {
    const text = 'is for a listener without tls: with it tls.http2 offers HTTP/2'
    findings.push({ path: [...path, 'h2c'], text })
  }
  return findings
}

/** Certificates that nobody asks clients for. */
export function clientCertFindings({ listeners, auth }: Parts): Finding[] {
  if (listeners.some(({ value, isWhole }) => !isWhole || value.tls?.clientCa !== undefined))
    return []
  return auth
    .filter(({ value }) => value.type === 'clientCert')
    .map(({ path }) => ({
      path: [...path, 'type'],
      text: 'no listener asks clients for certificates: give one tls.clientCa',
    }))
}

function cipherFindings(path: Path, { ciphers, minVersion }: ListenerTls): Finding[] {
  if (ciphers === undefined) return []
  try {
    createSecureContext({ ciphers, minVersion })
    return []
  } catch {
    return [{ path: [...path, 'ciphers'], text: 'OpenSSL knows no cipher by this list' }]
  }
}
